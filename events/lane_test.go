package events

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
)

func startLane(t *testing.T, work func(context.Context, string) (time.Duration, error)) (l *lane[string], failures *atomic.Int32, stop func()) {
	t.Helper()
	failures = new(atomic.Int32)
	l = newLane(lagertest.NewTestLogger("test"), "job", func() { failures.Add(1) }, work)
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

func TestPausesAreSpread(t *testing.T) {
	g := NewWithT(t)
	g.Expect(spread(0)).To(BeZero())
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		d := spread(time.Second)
		least, most = min(least, d), max(most, d)
	}
	g.Expect(least).To(BeNumerically("~", 500*time.Millisecond, 20*time.Millisecond))
	g.Expect(most).To(BeNumerically("~", 1500*time.Millisecond, 20*time.Millisecond))
}
