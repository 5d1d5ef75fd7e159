package platform

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Backoff configures pauses between attempts. Each is twice as long as the one before.
type Backoff struct {
	// First is the pause after the first failure.
	First time.Duration
	// Longest is the pause that further ones do not exceed; 0 means no limit.
	Longest time.Duration
	// Jitter is the share of a pause by which it is longer or shorter, so that clients that
	// failed together do not return together.
	Jitter float64
}

// Pauses returns the pauses from the first on.
func (b Backoff) Pauses() *Pauses {
	longest := b.Longest
	if longest == 0 {
		longest = math.MaxInt64
	}
	return &Pauses{exponential: &backoff.ExponentialBackOff{
		InitialInterval: b.First, MaxInterval: longest, Multiplier: 2, RandomizationFactor: b.Jitter}}
}

// Pauses are the pauses of one piece of work. It is used by one goroutine.
type Pauses struct {
	exponential *backoff.ExponentialBackOff
	failures    int
}

// Next counts a failure and returns the pause after it.
func (p *Pauses) Next() time.Duration {
	p.failures++
	return p.exponential.NextBackOff()
}

// Failures returns the number of failures since the last Reset.
func (p *Pauses) Failures() int { return p.failures }

// Reset begins with the first pause again.
func (p *Pauses) Reset() {
	p.failures = 0
	p.exponential.Reset()
}

// Retry calls try until it succeeds or again returns false, and returns the last error. It
// waits before the next attempt for as long as again returns, which gets the next pause as
// a proposal. If ctx ends in a pause, Retry returns the cause.
func Retry(ctx context.Context, pauses *Pauses, try func() error, again func(err error, pause time.Duration) (time.Duration, bool)) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		pause, ok := again(err, pauses.Next())
		if !ok {
			return err
		}
		if err := Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// Sleep waits. It returns the cause of ctx's end if that comes first.
func Sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// RetryAfter returns the pause that a server asks for, in seconds or as a date, but at most
// longest; 0 if it asks for none. It reports false if the server asks for more than longest.
func RetryAfter(header http.Header, now time.Time, longest time.Duration) (time.Duration, bool) {
	text := header.Get("Retry-After")
	var pause time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		pause = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		pause = max(0, at.Sub(now))
	}
	return min(pause, longest), pause <= longest
}
