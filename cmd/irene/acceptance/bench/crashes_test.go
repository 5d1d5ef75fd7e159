//go:build bench

package bench_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	crashes = 200
	// crashPause is between crashes, so that each is measured alone.
	crashPause = 20 * time.Millisecond
)

// crash is what a report names one by.
type crash struct {
	Instance string `json:"instance"`
	Count    int    `json:"crash_count"`
}

// crashListener is as much of a Cloud Controller as takes reports.
type crashListener struct {
	*httptest.Server
	told chan toldCrash
}

type toldCrash struct {
	crash
	at time.Time
}

func newCrashListener() *crashListener {
	l := &crashListener{told: make(chan toldCrash, 1<<10)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told := toldCrash{at: time.Now()}
		if json.NewDecoder(r.Body).Decode(&told.crash) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if told.Count > 0 {
			l.told <- told
		}
	}))
	return l
}

// measureCrashes has containers die and measures how long after the status was written,
// as a kubelet does, Cloud Controller has heard of it.
func (b *benchmark) measureCrashes(number int) {
	pods, err := b.client.CoreV1().Pods(namespace).List(b.ctx, metav1.ListOptions{Limit: 50})
	check(b.T, err)
	var times timings
	start := time.Now()
	pause := time.NewTicker(crashPause)
	defer pause.Stop()
	for i := range crashes {
		<-pause.C
		pod := &pods.Items[i%len(pods.Items)]
		before := int(pod.Status.ContainerStatuses[0].RestartCount)
		want := crash{Instance: string(pod.UID), Count: before + i/len(pods.Items) + 1}
		now := metav1.Now()
		patch, err := json.Marshal(map[string]any{"status": map[string]any{"containerStatuses": []map[string]any{{
			"name": pod.Spec.Containers[0].Name, "restartCount": want.Count, "started": true, "ready": true,
			"lastState": corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: now, FinishedAt: now}},
		}}}})
		check(b.T, err)
		wrote := time.Now()
		_, err = b.client.CoreV1().Pods(namespace).Patch(b.ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		check(b.T, err)
		for told := range b.crashes.told {
			if told.crash == want {
				times.each = append(times.each, told.at.Sub(wrote))
				break
			}
		}
	}
	times.all = time.Since(start)
	// As they were, for what is measured next, but for the number of crashes, which never
	// falls.
	for i := range pods.Items {
		pod := &pods.Items[i]
		pod.Status.ContainerStatuses[0].RestartCount += crashes / int32(len(pods.Items))
		patch, err := json.Marshal(map[string]any{"status": map[string]any{"containerStatuses": pod.Status.ContainerStatuses, "conditions": pod.Status.Conditions}})
		check(b.T, err)
		_, err = b.client.CoreV1().Pods(namespace).Patch(b.ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		check(b.T, err)
	}
	fmt.Printf("| %d | write of a crash → Cloud Controller | – | %s | %s | – |\n", number, times.percentile(50), times.percentile(99))
}
