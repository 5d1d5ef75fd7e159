package tasks

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/irene-cf/irene/k8s/imagewait"
)

type awaitedImageMetrics struct {
	attempts *prometheus.CounterVec
	seconds  prometheus.Histogram
	waiting  *waitingTasks
}

func newAwaitedImageMetrics(registerer prometheus.Registerer) *awaitedImageMetrics {
	m := &awaitedImageMetrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_task_image_attempts_total",
			Help: "Attempts at images of tasks that were accepted before their images were in the registry, by outcome: assembled, ongoing, unavailable, refused.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "irene_task_image_seconds",
			Help:    "Time from the acceptance of a task to its image being in the registry.",
			Buckets: prometheus.ExponentialBuckets(0.5, 2, 12),
		}),
		waiting: &waitingTasks{},
	}
	for _, outcome := range []string{imagewait.Assembled, imagewait.Ongoing, imagewait.Unavailable, imagewait.Refused} {
		m.attempts.WithLabelValues(outcome)
	}
	registerer.MustRegister(m.attempts, m.seconds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irene_tasks_awaiting_image",
		Help: "Tasks that have not begun because their images are not in the registry yet; 0 where this replica does not lead.",
	}, m.waiting.count))
	return m
}

// waitingTasks counts tasks in the store of a running watch.
type waitingTasks struct {
	mutex sync.Mutex
	store cache.Store
}

// show sets the store to count in; nil for none.
func (w *waitingTasks) show(store cache.Store) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.store = store
}

func (w *waitingTasks) count() float64 {
	w.mutex.Lock()
	store := w.store
	w.mutex.Unlock()
	if store == nil {
		return 0
	}
	waiting := 0
	for _, object := range store.List() {
		if isWaiting(object.(*batchv1.Job)) {
			waiting++
		}
	}
	return float64(waiting)
}
