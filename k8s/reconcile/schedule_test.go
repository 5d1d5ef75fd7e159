package reconcile

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	testingclock "k8s.io/utils/clock/testing"
)

func TestPausesGrowWithAttemptsThatWereDue(t *testing.T) {
	g := NewWithT(t)
	clock := testingclock.NewFakeClock(time.Now())
	s := newSchedule[string](time.Second, time.Minute, clock)
	g.Expect(s.Wait("a")).To(BeZero())
	for _, nominal := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
		pause := s.Failed("a", 0)
		g.Expect(pause).To(And(BeNumerically(">=", nominal/2), BeNumerically("<=", nominal*3/2)))
		for wait := pause; wait > 0; wait -= time.Millisecond {
			g.Expect(s.Wait("a")).To(Equal(wait))
			g.Expect(s.Failed("a", time.Hour)).To(Equal(wait), "an early attempt neither counts nor moves the next one")
			clock.Step(time.Millisecond)
		}
		g.Expect(s.Wait("a")).To(BeZero())
	}
	g.Expect(s.Wait("b")).To(BeZero(), "keys are independent")
}

func TestSuccessBeginsAgain(t *testing.T) {
	g := NewWithT(t)
	clock := testingclock.NewFakeClock(time.Now())
	s := newSchedule[string](time.Second, time.Minute, clock)
	for range 5 {
		clock.Step(s.Failed("a", 0))
	}
	s.Succeeded("a")
	g.Expect(s.Failed("a", 0)).To(BeNumerically("<=", 1500*time.Millisecond))
	s.Succeeded("a")
	g.Expect(s.Wait("a")).To(BeZero(), "also while it waits")
}

func TestPausesAreBoundedAndSpread(t *testing.T) {
	g := NewWithT(t)
	clock := testingclock.NewFakeClock(time.Now())
	s := newSchedule[int](time.Second, time.Minute, clock)
	g.Expect(s.Failed(0, time.Hour)).To(BeNumerically(">=", 30*time.Minute), "a server's Retry-After counts")
	least, most := time.Hour, time.Duration(0)
	for key := range 1000 {
		var pause time.Duration
		for range 10 {
			pause = s.Failed(key+1, 0)
			clock.Step(pause)
		}
		least, most = min(least, pause), max(most, pause)
	}
	g.Expect(least).To(BeNumerically("~", 30*time.Second, 2*time.Second))
	g.Expect(most).To(BeNumerically("~", 90*time.Second, 2*time.Second))
}
