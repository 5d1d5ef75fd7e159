package events

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// BenchmarkCrashLoops has 10,000 instances of as many LRPs crash again and again: while
// Cloud Controller is away, which shows what is kept, and then with it back, which
// shows how fast it is told.
func BenchmarkCrashLoops(b *testing.B) {
	const lrps, crashesWhileAway = 10_000, 40
	for b.Loop() {
		away, told := make(chan struct{}), make(chan struct{}, lrps*crashesWhileAway)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			select {
			case <-away:
				told <- struct{}{}
			default:
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		pods := newInstances()
		r, stop := startReports(b, pods, server.URL)
		heap := func() float64 {
			runtime.GC()
			runtime.GC()
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			return float64(stats.HeapAlloc) / (1 << 20)
		}
		ids := make([]opi.LRPIdentifier, lrps)
		for i := range ids {
			ids[i] = lrpNumber(i)
			guid := fmt.Sprintf("10000000-0000-4000-8000-%012d", i)
			pods.pods[guid] = &opi.InstanceRecord{LRPIdentifier: ids[i], GUID: guid, Cell: "node-1.example.internal", Object: "some-app-some-space-0123456789-0"}
		}
		bare := heap()
		crash := func(n int) {
			pods.mutex.Lock()
			for _, pod := range pods.pods {
				pod.Crashes, pod.LastCrash = n, &opi.Crash{ExitStatus: new(int32(1)), Description: fmt.Sprintf("exited with status %d", n), At: time.Now()}
			}
			pods.mutex.Unlock()
		}
		// Observed directly: the map of the stand-in is searched for each LRP.
		for n := 1; n <= crashesWhileAway; n++ {
			crash(n)
			r.mutex.Lock()
			for _, pod := range pods.pods {
				queue := r.queueOf(pod.LRPIdentifier)
				queue.observe([]opi.InstanceRecord{*pod}, r.reports(), time.Now())
			}
			r.mutex.Unlock()
			if n == 1 {
				b.ReportMetric(heap()-bare, "MiB/10k-pods-1-waiting")
			}
		}
		b.ReportMetric(heap()-bare, "MiB/10k-pods-40-waiting")
		close(away)
		r.mutex.Lock()
		for _, id := range ids {
			r.deliveries.Add(id)
		}
		r.mutex.Unlock()
		began := time.Now()
		for range lrps * crashesWhileAway {
			<-told
		}
		b.ReportMetric(lrps*crashesWhileAway/time.Since(began).Seconds(), "reports/s")
		stop()
		server.Close()
	}
}

// BenchmarkCrashToReport measures how long after a crash is to be seen Cloud Controller
// has heard of it, without Kubernetes.
func BenchmarkCrashToReport(b *testing.B) {
	told := make(chan time.Time, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e map[string]any
		if json.NewDecoder(r.Body).Decode(&e) == nil {
			told <- time.Now()
		}
	}))
	defer server.Close()
	pods := newInstances()
	pod := &opi.InstanceRecord{LRPIdentifier: lrpNumber(0), GUID: "guid"}
	pods.pods["guid"] = pod
	r, stop := startReports(b, pods, server.URL)
	defer stop()
	var times []time.Duration
	for b.Loop() {
		pods.mutex.Lock()
		pod.Crashes++
		pods.mutex.Unlock()
		began := time.Now()
		r.Changed(pod.LRPIdentifier)
		times = append(times, (<-told).Sub(began))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "µs-p99")
}

func startReports(b *testing.B, pods *instances, url string) (r *InstanceReports, stop func()) {
	logger, metrics := lager.NewLogger("bench"), prometheus.NewRegistry()
	client, err := NewCloudController(ClientOptions{Logger: logger, Registerer: metrics})
	if err != nil {
		b.Fatal(err)
	}
	r, err = NewInstanceReports(InstanceReportsOptions{Instances: pods, Doors: Doors{opi.DoorOPI: api.Encoder{}}, CloudController: client, URL: url, Logger: logger, Registerer: metrics})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.Run(ctx) // it has no errors
	}()
	for {
		r.mutex.Lock()
		runs := r.deliveries != nil
		r.mutex.Unlock()
		if runs {
			break
		}
		runtime.Gosched()
	}
	return r, func() { cancel(); <-ended; client.Close() }
}
