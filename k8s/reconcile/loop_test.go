package reconcile

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

// start runs a loop of 4 workers until the test ends or it is stopped.
func start(t *testing.T, work func(context.Context, string) (time.Duration, error)) (l *Loop[string], failures *atomic.Int32, stop func()) {
	t.Helper()
	failures = new(atomic.Int32)
	l = New(Options[string]{
		Reconcile: work, Failed: func(string, error, time.Duration) { failures.Add(1) }, Workers: 4, FirstPause: firstPause,
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return l, failures, stop
}

const firstPause = time.Second

func TestLoopComesBack(t *testing.T) {
	g := NewWithT(t)
	var turns atomic.Int32
	l, failures, _ := start(t, func(context.Context, string) (time.Duration, error) {
		switch turns.Add(1) {
		case 1:
			return 10 * time.Millisecond, nil
		case 2:
			return 0, errors.New("fault")
		}
		return 0, nil
	})
	began := time.Now()
	l.Add("job")
	g.Eventually(turns.Load, 5*time.Second).Should(BeEquivalentTo(3))
	g.Expect(time.Since(began)).To(BeNumerically(">=", firstPause/2))
	g.Expect(failures.Load()).To(BeEquivalentTo(1))
	g.Consistently(turns.Load, 100*time.Millisecond).Should(BeEquivalentTo(3))
}

func TestLoopWaitsForWhatIsPostponed(t *testing.T) {
	g := NewWithT(t)
	var turns atomic.Int32
	l, failures, _ := start(t, func(context.Context, string) (time.Duration, error) {
		turns.Add(1)
		return 0, Postpone(errors.New("fault"), time.Hour)
	})
	l.Add("job")
	g.Eventually(failures.Load).Should(BeEquivalentTo(1))
	g.Consistently(turns.Load, 2*firstPause).Should(BeEquivalentTo(1))
}

func TestLoopEnds(t *testing.T) {
	g := NewWithT(t)
	begun := make(chan struct{})
	l, failures, stop := start(t, func(ctx context.Context, _ string) (time.Duration, error) {
		close(begun)
		<-ctx.Done()
		return 0, ctx.Err()
	})
	l.Add("job")
	<-begun
	stop()
	g.Expect(failures.Load()).To(BeZero(), "being told to end is no fault")
}

// Events come while a server is away: the crashes of an instance while Cloud Controller
// does not answer. None of them is a reason to try sooner, or to wait longer.
func TestEventsLeaveThePausesOfALoopAlone(t *testing.T) {
	for name, patient := range map[string]bool{"patient": true, "eager": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				var attempts atomic.Int32
				var back atomic.Bool
				l := New(Options[string]{
					Failed: func(string, error, time.Duration) {}, Patient: patient, FirstPause: firstPause,
					Reconcile: func(context.Context, string) (time.Duration, error) {
						attempts.Add(1)
						if !back.Load() {
							return 0, errors.New("Cloud Controller is away")
						}
						return 0, nil
					},
				})
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { l.Run(ctx) })
				defer func() { cancel(); running.Wait() }()
				const events = 100
				for range events {
					l.Add("lrp")
					time.Sleep(10 * time.Millisecond)
					synctest.Wait()
				}
				if patient {
					g.Expect(attempts.Load()).To(BeNumerically("<=", 2), "an attempt and perhaps its first repeat, within a second")
				} else {
					g.Expect(attempts.Load()).To(BeNumerically(">=", events))
				}
				g.Expect(l.schedule.Wait("lrp")).To(BeNumerically("<=", 3*time.Second), "the pause after two attempts")
				back.Store(true)
				made := attempts.Load()
				time.Sleep(3 * time.Second)
				synctest.Wait()
				g.Expect(attempts.Load()).To(BeNumerically(">", made))
				g.Expect(l.schedule.Wait("lrp")).To(BeZero())
			})
		})
	}
}

func TestWorkInProgressDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		var reconciled, failed []string
		l := New(Options[string]{
			Drain: 4 * time.Second, Failed: func(string, error, time.Duration) { failed = append(failed, "cut off") },
			Reconcile: func(ctx context.Context, key string) (time.Duration, error) {
				select {
				case <-ctx.Done():
				case <-time.After(3 * time.Second):
				}
				reconciled = append(reconciled, key)
				return 0, ctx.Err()
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var running sync.WaitGroup
		running.Go(func() { l.Run(ctx) })
		l.Add("first")
		synctest.Wait()
		l.Add("second")
		cancel()
		running.Wait()
		g.Expect(reconciled).To(Equal([]string{"first"}), "what waits is left to the next leader")
		g.Expect(failed).To(BeEmpty())
		g.Expect(time.Since(began)).To(Equal(3 * time.Second))
	})
}

func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		l := New(Options[string]{
			Drain: 4 * time.Second, Failed: func(string, error, time.Duration) { t.Error("a cut is no failure") },
			Reconcile: func(ctx context.Context, _ string) (time.Duration, error) { <-ctx.Done(); return 0, ctx.Err() },
		})
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var running sync.WaitGroup
		running.Go(func() { l.Run(ctx) })
		l.Add("key")
		synctest.Wait()
		cancel()
		running.Wait()
		g.Expect(time.Since(began)).To(Equal(4 * time.Second))
	})
}
