package events

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/irene-cf/irene/k8s/keys"
)

// Values of the label "state" of irene_jobs.
const (
	stateWaiting   = "waiting"
	stateRunning   = "running"
	stateEnded     = "ended"
	stateTombstone = "tombstone"
)

var jobsMetric = prometheus.NewDesc("irene_jobs",
	"Jobs of builds (STG) and tasks (TASK) by state: waiting for a node or an image, running, ended and not answered by Cloud Controller yet, tombstone. Only where this replica leads.",
	[]string{"kind", "state"}, nil)

// jobsByState counts what the informers show, when it is asked.
type jobsByState struct {
	kinds []string

	mutex sync.Mutex
	shown *watched
}

// show takes what is counted from now on; nil for nothing.
func (j *jobsByState) show(shown *watched) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.shown = shown
}

// Describe implements prometheus.Collector.
func (j *jobsByState) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- jobsMetric }

// Collect implements prometheus.Collector.
func (j *jobsByState) Collect(metrics chan<- prometheus.Metric) {
	j.mutex.Lock()
	shown := j.shown
	j.mutex.Unlock()
	if shown == nil {
		return
	}
	jobs, err := shown.jobs.List(labels.Everything())
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(jobsMetric, err)
		return
	}
	type group struct{ kind, state string }
	counts := map[group]int{}
	for _, kind := range j.kinds {
		for _, state := range []string{stateWaiting, stateRunning, stateEnded, stateTombstone} {
			counts[group{kind, state}] = 0
		}
	}
	for _, job := range jobs {
		counts[group{job.Labels[keys.SourceType], shown.stateOf(job)}]++
	}
	for g, count := range counts {
		metrics <- prometheus.MustNewConstMetric(jobsMetric, prometheus.GaugeValue, float64(count), g.kind, g.state)
	}
}

func (w *watched) stateOf(job *batchv1.Job) string {
	switch {
	case answered(job):
		return stateTombstone
	case decided(job):
		return stateEnded
	}
	pods, err := w.podsOf(job.UID)
	if err != nil {
		return stateWaiting // there is no such index, which watch excludes
	}
	for _, pod := range pods {
		if pod.Status.Phase != corev1.PodPending {
			return stateRunning
		}
	}
	return stateWaiting
}
