package view

import (
	"context"
	"strings"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/irene-cf/irene/k8s/keys"
)

// failedChecks are the last failures of a pod's checks that end a container, in no order.
type failedChecks struct{ startup, liveness []checkFailure }

// checkFailure is what a kubelet said of a check that failed several times between from
// and at. Both are in whole seconds.
type checkFailure struct {
	from, at time.Time
	times    int
	message  string
}

// maxFailures of one message are remembered one by one: as many as a kubelet may want
// before it ends a container.
const maxFailures = 10

// checkEvents keeps what kubelets say in Events of reason Unhealthy. Only texts are made
// from it, never states: Events may come late or not at all, and nothing waits for
// them. It is as large as those Events are many, which the API server keeps for an hour.
type checkEvents struct {
	logger lager.Logger

	mutex sync.Mutex
	// events are known by their uid.
	events map[types.UID]checkEvent
	pods   map[types.UID][]types.UID
	// forbidden is whether the log has been told that Events can't be read.
	forbidden bool
}

// checkEvent is an Event, which kubelets count up when the same happens again.
type checkEvent struct {
	pod      types.UID
	startup  bool
	count    int
	failures []checkFailure
}

// of returns the last failures of a pod's checks.
func (c *checkEvents) of(pod types.UID) failedChecks {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var last failedChecks
	for _, uid := range c.pods[pod] {
		event, kind := c.events[uid], &last.liveness
		if event.startup {
			kind = &last.startup
		}
		*kind = append(*kind, event.failures...)
	}
	return last
}

// run feeds it until ctx ends.
func (c *checkEvents) run(ctx context.Context, client kubernetes.Interface, namespace string) {
	selector := fields.Set{"reason": "Unhealthy", "involvedObject.kind": "Pod"}.AsSelector().String()
	events := client.CoreV1().Events(namespace)
	logger := klog.New(&reflectorLog{logger: c.logger.Session("watch")})
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			all, err := events.List(ctx, options)
			if apierrors.IsForbidden(err) {
				err = toldError{err}
				c.withoutEvents(err)
			}
			return all, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector
			return events.Watch(ctx, options)
		},
	}
	cache.NewReflectorWithOptions(
		cache.ToListWatcherWithWatchListSemantics(lw, client), &corev1.Event{}, c,
		cache.ReflectorOptions{Name: "events", Logger: &logger, Backoff: &relistBackoff}).
		RunWithContext(klog.NewContext(ctx, logger))
}

func (c *checkEvents) withoutEvents(err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !c.forbidden {
		c.forbidden = true
		c.logger.Error("events-forbidden", err, lager.Data{
			"effect": "crashes are described without the health check that failed until list and watch of events are granted",
		})
	}
}

// Add implements cache.ReflectorStore, as do the following.
func (c *checkEvents) Add(object any) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.take(object)
	return nil
}

// Update takes a repeated Event.
func (c *checkEvents) Update(object any) error { return c.Add(object) }

// Delete takes one whose time is over.
func (c *checkEvents) Delete(object any) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if event, ok := object.(*corev1.Event); ok {
		c.drop(event.UID)
	}
	return nil
}

// Replace takes a list.
func (c *checkEvents) Replace(objects []any, _ string) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.events, c.pods = map[types.UID]checkEvent{}, map[types.UID][]types.UID{}
	for _, object := range objects {
		c.take(object)
	}
	return nil
}

// Resync has nothing to do.
func (c *checkEvents) Resync() error { return nil }

func (c *checkEvents) take(object any) {
	event, ok := object.(*corev1.Event)
	if !ok {
		return
	}
	startup := strings.HasPrefix(event.Message, "Startup ")
	if !startup && !strings.HasPrefix(event.Message, "Liveness ") || event.InvolvedObject.FieldPath != appContainerPath {
		return
	}
	known := c.events[event.UID]
	c.drop(event.UID)
	first, last, count := occurrences(event)
	failure := checkFailure{from: first, at: last, times: count, message: event.Message}
	if known.count > 0 && known.count < count {
		failure.from, failure.times = last, count-known.count
	}
	failures := known.failures
	if known.count != count {
		failures = append(failures, failure)
	}
	pod := event.InvolvedObject.UID
	c.events[event.UID] = checkEvent{pod: pod, startup: startup, count: count, failures: failures[max(0, len(failures)-maxFailures):]}
	c.pods[pod] = append(c.pods[pod], event.UID)
}

// occurrences says when an Event was seen first and last, and how often.
func occurrences(event *corev1.Event) (first, last time.Time, count int) {
	first, last, count = event.FirstTimestamp.Time, event.LastTimestamp.Time, int(event.Count)
	if event.Series != nil {
		last, count = event.Series.LastObservedTime.Time, int(event.Series.Count)
	}
	if first.IsZero() {
		first = event.EventTime.Time
	}
	if last.IsZero() {
		last = first
	}
	return first, last, max(count, 1)
}

// appContainerPath is how Events name the app's container.
const appContainerPath = "spec.containers{" + keys.AppContainer + "}"

func (c *checkEvents) drop(uid types.UID) {
	event, known := c.events[uid]
	if !known {
		return
	}
	delete(c.events, uid)
	rest := c.pods[event.pod][:0]
	for _, other := range c.pods[event.pod] {
		if other != uid {
			rest = append(rest, other)
		}
	}
	if c.pods[event.pod] = rest; len(rest) == 0 {
		delete(c.pods, event.pod)
	}
}
