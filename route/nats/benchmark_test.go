package nats

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/route"
)

// BenchmarkEventToPublish is the time from an event of the view until another client of NATS
// has the message, over loopback, one change at a time, while the table is
// refreshed.
func BenchmarkEventToPublish(b *testing.B) {
	for _, size := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("endpoints=%d", size), func(b *testing.B) {
			url := startNATS(b, nil).ClientURL()
			connection, err := nats.Connect(url)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(connection.Close)
			// Each update is told apart by its time, so that a refresh of the one
			// before it is not taken for it.
			registered, others := make(chan int64, 1<<10), make(chan struct{}, 1<<20)
			if _, err := connection.Subscribe("router.register", func(m *nats.Msg) {
				var p payload
				if json.Unmarshal(m.Data, &p) == nil && p.URIs[0] == "changing.example.com" {
					registered <- p.UpdatedAt
				} else {
					others <- struct{}{}
				}
			}); err != nil {
				b.Fatal(err)
			}
			if err := connection.Flush(); err != nil {
				b.Fatal(err)
			}
			e := startEmitter(b, "a", Settings{Servers: []string{url}})
			e.Sync(route.Progress{Fresh: true}, routing.LRPs(size)...)
			for range size {
				<-others
			}
			base := routing.WithInstance(routing.LRP("changing", "changing.example.com"), 0, "10.200.0.1")
			var took []time.Duration
			b.ResetTimer()
			for i := range b.N {
				// As events come: one by one, not as fast as they can be answered.
				time.Sleep(time.Millisecond)
				state := base
				state.Instances = slices.Clone(base.Instances)
				state.Instances[0].UpdatedAt = time.Unix(int64(i+1), 0)
				want := state.Instances[0].UpdatedAt.UnixNano()
				begin := time.Now()
				e.Update(state)
				for <-registered != want {
				}
				took = append(took, time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkRefresh refreshes 100,000 endpoints for ten seconds of real time per
// round. The CPU time is that of the whole process, the NATS server included: an
// upper bound of what the emitter takes.
func BenchmarkRefresh(b *testing.B) {
	url := startNATS(b, nil).ClientURL()
	e := startEmitter(b, "a", Settings{Servers: []string{url}})
	e.Sync(route.Progress{Fresh: true}, routing.LRPs(100_000)...)
	published := func() float64 { return e.gauges().registers }
	for published() < 100_000 {
		time.Sleep(10 * time.Millisecond)
	}
	busiest, quietest := 0.0, 1e9
	before, cpu := published(), processCPU(b)
	b.ResetTimer()
	for range b.N {
		for range 10 {
			second := published()
			time.Sleep(time.Second)
			count := published() - second
			busiest, quietest = max(busiest, count), min(quietest, count)
		}
	}
	b.StopTimer()
	b.ReportMetric(100*(processCPU(b)-cpu).Seconds()/b.Elapsed().Seconds(), "%core")
	b.ReportMetric((published()-before)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(busiest, "busiest/s")
	b.ReportMetric(quietest, "quietest/s")
}

func processCPU(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkHeap is what 10,000 endpoints take.
func BenchmarkHeap(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var kept []*recording
	for range b.N {
		r := newRecording("me")
		r.send = func(string, []byte) error { return nil }
		r.elect()
		r.changed(routing.LRPs(10_000)...)
		r.pass(5 * time.Second)
		kept = append(kept, r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N)/(1<<20), "MiB/10k")
	runtime.KeepAlive(kept)
}

// BenchmarkMarshal is one register message.
func BenchmarkMarshal(b *testing.B) {
	for e := range route.NewTable(routing.LRPs(1)...).Endpoints() {
		for b.Loop() {
			marshalRegister(e, e.URIs)
		}
	}
}
