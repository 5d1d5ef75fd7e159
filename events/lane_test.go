package events

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
)

func startLane(t *testing.T, work func(context.Context, string) (time.Duration, error)) (l *lane[string], failures *atomic.Int32, stop func()) {
	t.Helper()
	failures = new(atomic.Int32)
	l = newLane(laneOptions[string]{logger: lagertest.NewTestLogger("test"), kind: "job", failed: func() { failures.Add(1) }, work: work})
	ctx, cancel := context.WithCancel(t.Context())
	wait := l.start(ctx, ctx, 4)
	stop = func() { cancel(); l.queue.ShutDown(); wait() }
	t.Cleanup(stop)
	return l, failures, stop
}

func TestLaneComesBack(t *testing.T) {
	g := NewWithT(t)
	var turns atomic.Int32
	l, failures, _ := startLane(t, func(context.Context, string) (time.Duration, error) {
		switch turns.Add(1) {
		case 1:
			return 10 * time.Millisecond, nil
		case 2:
			return 0, errors.New("fault")
		}
		return 0, nil
	})
	began := time.Now()
	l.queue.Add("job")
	g.Eventually(turns.Load, 5*time.Second).Should(BeEquivalentTo(3))
	g.Expect(time.Since(began)).To(BeNumerically(">=", shortestBackOff/2))
	g.Expect(failures.Load()).To(BeEquivalentTo(1))
	g.Consistently(turns.Load, 100*time.Millisecond).Should(BeEquivalentTo(3))
}

func TestLaneWaitsForWhatIsPostponed(t *testing.T) {
	g := NewWithT(t)
	var turns atomic.Int32
	l, failures, _ := startLane(t, func(context.Context, string) (time.Duration, error) {
		turns.Add(1)
		return 0, postponed{error: errors.New("fault"), after: time.Hour}
	})
	l.queue.Add("job")
	g.Eventually(failures.Load).Should(BeEquivalentTo(1))
	g.Consistently(turns.Load, 2*shortestBackOff).Should(BeEquivalentTo(1))
}

func TestLaneEnds(t *testing.T) {
	g := NewWithT(t)
	begun := make(chan struct{})
	l, failures, stop := startLane(t, func(ctx context.Context, _ string) (time.Duration, error) {
		close(begun)
		<-ctx.Done()
		return 0, ctx.Err()
	})
	l.queue.Add("job")
	<-begun
	stop()
	g.Expect(failures.Load()).To(BeZero(), "being told to end is no fault")
}

// Events come while a server is away: the crashes of an instance while Cloud Controller
// does not answer. None of them is a reason to try sooner, or to wait longer.
func TestEventsLeaveThePausesOfALaneAlone(t *testing.T) {
	for name, patient := range map[string]bool{"patient": true, "eager": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				var attempts atomic.Int32
				var back atomic.Bool
				l := newLane(laneOptions[string]{
					logger: lagertest.NewTestLogger("test"), kind: "process_guid", failed: func() {}, patient: patient,
					work: func(context.Context, string) (time.Duration, error) {
						attempts.Add(1)
						if !back.Load() {
							return 0, errors.New("Cloud Controller is away")
						}
						return 0, nil
					},
				})
				ctx, cancel := context.WithCancel(t.Context())
				wait := l.start(ctx, ctx, 1)
				defer func() { cancel(); l.queue.ShutDown(); wait() }()
				const events = 100
				for range events {
					l.queue.Add("lrp")
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
