package imagewait_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/imagewait"
	"github.com/irene-cf/irene/opi"
)

var (
	began  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pauses = imagewait.Pauses{Unavailable: 30 * time.Second, Refused: time.Minute}

	errUnavailable = fmt.Errorf("registry: %w", opi.ErrUnavailable)
	errRefused     = opi.WithMessage(fmt.Errorf("droplet: %w", opi.ErrRefused), "the droplet is damaged")
	errOngoing     = opi.WithMessage(fmt.Errorf("%w: %w", opi.ErrUnavailable, context.DeadlineExceeded), "the image is not ready yet")
)

func TestOutcome(t *testing.T) {
	g := NewWithT(t)
	for outcome, cause := range map[string]error{
		imagewait.Unavailable: errUnavailable, imagewait.Refused: errRefused, imagewait.Ongoing: errOngoing,
	} {
		g.Expect(imagewait.Outcome(cause)).To(Equal(outcome))
	}
	g.Expect(imagewait.Outcome(errors.Join(errRefused, context.DeadlineExceeded))).To(Equal(imagewait.Refused), "work that was refused has ended")
}

func TestPausesDoubleUpToTheLongest(t *testing.T) {
	g := NewWithT(t)
	for cause, longest := range map[error]time.Duration{errUnavailable: pauses.Unavailable, errRefused: pauses.Refused} {
		var state imagewait.State
		for attempt, want := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
			var pause time.Duration
			state, pause = state.Failed(cause, began, pauses)
			g.Expect(pause).To(Equal(want))
			g.Expect(state.Attempts).To(Equal(attempt + 1))
			g.Expect(state.Next).To(Equal(began.Add(want)))
		}
		state.Attempts = 1000
		_, pause := state.Failed(cause, began, pauses)
		g.Expect(pause).To(Equal(longest))
	}
}

func TestWorkThatGoesOnIsNoAttempt(t *testing.T) {
	g := NewWithT(t)
	state, pause := imagewait.State{}.Failed(errOngoing, began, pauses)
	g.Expect(pause).To(Equal(time.Second))
	g.Expect(state).To(Equal(imagewait.State{Fault: "the image is not ready yet", Since: began}))

	failed, _ := state.Failed(errUnavailable, began.Add(time.Minute), pauses)
	g.Expect(failed.Since).To(Equal(began.Add(time.Minute)))
	still, _ := failed.Failed(errOngoing, began.Add(2*time.Minute), pauses)
	g.Expect(still).To(Equal(failed), "a stage of the work is not worth a write")

	lasting, _ := failed.Failed(errRefused, began.Add(2*time.Minute), pauses)
	g.Expect(lasting).To(And(HaveField("Lasting", true), HaveField("Fault", "the droplet is damaged")))
	again, _ := lasting.Failed(errOngoing, began.Add(3*time.Minute), pauses)
	g.Expect(again).To(And(HaveField("Lasting", false), HaveField("Attempts", 2), HaveField("Since", began.Add(3*time.Minute))))
}
