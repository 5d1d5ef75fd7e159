package transfer

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// longestRetryAfter bounds, in seconds, what a server may ask for.
const longestRetryAfter = 30

// Patience returns what the client was made with.
func (c *Client) Patience() Patience { return c.patience }

// Retry calls try until it succeeds, again reports that another call makes no sense, or
// the time since the first failure exceeds within. It returns the last error. The user
// reads in the log what failed, each time that it is something else.
func (c *Client) Retry(ctx context.Context, within time.Duration, try func() error, again func(error) bool) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = c.patience.Pause, c.patience.LongestPause, 2
	var last error
	var firstFailure time.Time
	logged := ""
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = try()
		if last == nil {
			return struct{}{}, nil
		}
		if firstFailure.IsZero() {
			firstFailure = time.Now()
		}
		rest := within - time.Since(firstFailure)
		if rest <= 0 || ctx.Err() != nil || !again(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		if text := last.Error(); text != logged {
			c.log.Line("Trying again for up to %s: %s", rest.Round(time.Second), text)
			logged = text
		}
		var transfer *Error
		if errors.As(last, &transfer) && transfer.retryAfter > 0 {
			return struct{}{}, backoff.RetryAfter(transfer.retryAfter)
		}
		return struct{}{}, last
	}, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(0))
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return last
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

// retryAfter is the pause in seconds that a server asks for, 0 when it asks for
// none. Dates are not read: those who send them are not among our servers.
func retryAfter(response *http.Response) int {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(seconds, longestRetryAfter)
}
