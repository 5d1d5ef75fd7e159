package imagewait

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/irene-cf/irene/opi"
)

// Outcomes of attempts, for metrics.
const (
	Assembled   = "assembled"
	Ongoing     = "ongoing"
	Unavailable = "unavailable"
	Refused     = "refused"
)

// Outcome returns the outcome of an attempt that failed. An error that wraps
// context.DeadlineExceeded means that the work goes on.
func Outcome(cause error) string {
	switch {
	case errors.Is(cause, opi.ErrRefused):
		return Refused
	case errors.Is(cause, context.DeadlineExceeded):
		return Ongoing
	}
	return Unavailable
}

// maxFaultBytes is what an Event holds.
const maxFaultBytes = 1024

// Fault explains to users why there is no image.
func Fault(cause error) string {
	return opi.PlainText(cmp.Or(opi.Message(cause), opi.ImageNotReady), maxFaultBytes)
}

const (
	// first is the pause after a failed attempt; it doubles with each that follows.
	first = 5 * time.Second
	// ongoing is the pause before the next call for the result of work that goes on.
	ongoing = time.Second
)

// Pauses bound the pauses between attempts.
type Pauses struct {
	// Unavailable is the longest pause while the registry or the droplet can't be had.
	Unavailable time.Duration
	// Refused is the longest pause after refusals: the droplet itself is at fault, and only
	// another upload of it would help.
	Refused time.Duration
}

// State counts attempts. The zero State has seen none.
type State struct {
	// Attempts is how often making the image has failed.
	Attempts int `json:"attempts,omitempty"`
	// Next is when it is tried again; zero means at once.
	Next time.Time `json:"next,omitzero"`
	// Fault explains to users why the last attempt failed; empty if none has.
	Fault string `json:"fault,omitempty"`
	// Lasting reports that the fault does not pass by itself.
	Lasting bool `json:"lasting,omitempty"`
	// Since is when the fault first occurred.
	Since time.Time `json:"since,omitzero"`
}

// Failed returns the state after an attempt that failed, and the pause before the next one.
// Work that goes on counts as no attempt. It does not change a fault that may pass either: while
// thousands of LRPs wait, each would be written for each stage of the work.
func (s State) Failed(cause error, now time.Time, pauses Pauses) (State, time.Duration) {
	outcome := Outcome(cause)
	if outcome == Ongoing && s.Fault != "" && !s.Lasting {
		return s, ongoing
	}
	s = s.note(Fault(cause), outcome == Refused, now)
	if outcome == Ongoing {
		return s, ongoing
	}
	most := pauses.Unavailable
	if s.Lasting {
		most = pauses.Refused
	}
	pause := min(first<<min(s.Attempts, 16), most)
	s.Attempts++
	s.Next = now.Add(pause)
	return s, pause
}

func (s State) note(fault string, lasting bool, now time.Time) State {
	if s.Fault != fault || s.Lasting != lasting {
		s.Fault, s.Lasting, s.Since = fault, lasting, now.Truncate(time.Second)
	}
	return s
}
