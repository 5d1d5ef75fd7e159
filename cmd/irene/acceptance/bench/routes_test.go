//go:build bench

package bench_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	routeChanges = 200
	// routePause is between changes, so that each is measured alone.
	routePause = 20 * time.Millisecond
)

// measureRoutes makes pods unready and ready again and measures how long after the
// API server told a bare watch of it a bare subscriber of NATS has heard of it, while
// irene refreshes all endpoints.
func (b *benchmark) measureRoutes(number int) {
	pods, err := b.client.CoreV1().Pods(namespace).List(b.ctx, metav1.ListOptions{Limit: 50})
	check(b.T, err)
	connection, err := nats.Connect(b.bus.URL())
	check(b.T, err)
	defer connection.Close()
	// wanted is what the next change shall be told by; a refresh of how it was before
	// is not what is waited for.
	var wanted atomic.Value
	told := make(chan time.Time, 1<<10)
	for _, subject := range []string{"router.register", "router.unregister"} {
		_, err := connection.Subscribe(subject, func(m *nats.Msg) {
			now := time.Now()
			var message struct {
				Instance  string `json:"private_instance_id"`
				UpdatedAt int64  `json:"endpoint_updated_at_ns"`
			}
			if json.Unmarshal(m.Data, &message) == nil && wanted.CompareAndSwap(key(message.Instance, subject, message.UpdatedAt), "") {
				told <- now
			}
		})
		check(b.T, err)
	}
	check(b.T, connection.Flush())

	var fromEvent, fromWrite timings
	start := time.Now()
	pause := time.NewTicker(routePause)
	defer pause.Stop()
	for i := range routeChanges {
		<-pause.C
		pod, ready := &pods.Items[(i/2)%len(pods.Items)], corev1.ConditionFalse
		since := metav1.NewTime(time.Unix(1_700_000_000+int64(i), 0))
		want := key(string(pod.UID), "router.unregister", 0)
		if i%2 == 1 {
			ready, want = corev1.ConditionTrue, key(string(pod.UID), "router.register", since.UnixNano())
		}
		wanted.Store(want)
		events, err := b.client.CoreV1().Pods(namespace).Watch(b.ctx, metav1.ListOptions{
			FieldSelector: "metadata.name=" + pod.Name, ResourceVersion: "0",
		})
		check(b.T, err)
		patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.PodCondition{
			{Type: corev1.PodReady, Status: ready, LastTransitionTime: since}, {Type: corev1.ContainersReady, Status: ready, LastTransitionTime: since},
		}}})
		check(b.T, err)
		wrote := time.Now()
		_, err = b.client.CoreV1().Pods(namespace).Patch(b.ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		check(b.T, err)
		seen := eventOf(events, since)
		events.Stop()
		arrived := <-told
		fromEvent.each = append(fromEvent.each, max(arrived.Sub(seen), 0))
		fromWrite.each = append(fromWrite.each, arrived.Sub(wrote))
	}
	fromEvent.all = time.Since(start)
	for name, times := range map[string]timings{"a bare watch's event → NATS": fromEvent, "write of the status → NATS": fromWrite} {
		fmt.Printf("| %d | %s | – | %s | %s | 0.00 |\n", number, name, times.percentile(50), times.percentile(99))
	}
}

func key(instance, subject string, updatedAt int64) string {
	return fmt.Sprint(instance, " ", subject, " ", updatedAt)
}

// eventOf is when the watch told of the change that carries this time.
func eventOf(events watch.Interface, since metav1.Time) time.Time {
	for event := range events.ResultChan() {
		pod, isPod := event.Object.(*corev1.Pod)
		if !isPod {
			continue
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.LastTransitionTime.Equal(&since) {
				return time.Now()
			}
		}
	}
	return time.Time{}
}
