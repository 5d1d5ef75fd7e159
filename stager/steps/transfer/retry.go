package transfer

import (
	"context"
	"errors"
	"time"

	"github.com/irene-cf/irene/platform"
)

// longestRetryAfter bounds the pause that a server may ask for.
const longestRetryAfter = 30 * time.Second

// Patience returns what the client was made with.
func (c *Client) Patience() Patience { return c.patience }

// Retry calls try until it succeeds, again reports that another call makes no sense, or
// the time since the first failure exceeds within. It returns the last error. The user
// reads in the log what failed, each time that it is something else.
func (c *Client) Retry(ctx context.Context, within time.Duration, try func() error, again func(error) bool) error {
	pauses := platform.Backoff{First: c.patience.Pause, Longest: c.patience.LongestPause, Jitter: 0.5}.Pauses()
	var firstFailure time.Time
	logged := ""
	err := platform.Retry(ctx, pauses, try, func(err error, pause time.Duration) (time.Duration, bool) {
		if firstFailure.IsZero() {
			firstFailure = time.Now()
		}
		rest := within - time.Since(firstFailure)
		if rest <= 0 || ctx.Err() != nil || !again(err) {
			return 0, false
		}
		if text := err.Error(); text != logged {
			c.log.Line("Trying again for up to %s: %s", rest.Round(time.Second), text)
			logged = text
		}
		var transfer *Error
		if errors.As(err, &transfer) && transfer.retryAfter > 0 {
			pauses.Reset()
			return transfer.retryAfter, true
		}
		return pause, true
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// retry is Retry for what fails with an *Error.
func (c *Client) retry(ctx context.Context, within time.Duration, try func() error) error {
	garbled := 0
	return c.Retry(ctx, within, try, func(err error) bool {
		var transfer *Error
		if !errors.As(err, &transfer) || transfer.final {
			return false
		}
		if transfer.garbled {
			garbled++
		}
		return garbled < max(1, c.patience.Downloads)
	})
}
