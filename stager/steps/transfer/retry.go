package transfer

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/cenkalti/backoff/v5"
)

// longestRetryAfter bounds, in seconds, what a server may ask for.
const longestRetryAfter = 30

// Retry tries until it succeeds, again says that there is no sense in trying again, or
// patience ends. It returns the last error.
func (c *Client) Retry(ctx context.Context, try func() error, again func(error) bool) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = c.patience.Pause, c.patience.LongestPause, 2
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = try()
		var transfer *Error
		switch {
		case last == nil:
			return struct{}{}, nil
		case !again(last):
			return struct{}{}, backoff.Permanent(last)
		case errors.As(last, &transfer) && transfer.retryAfter > 0:
			return struct{}{}, backoff.RetryAfter(transfer.retryAfter)
		}
		return struct{}{}, last
	}, backoff.WithBackOff(pauses), backoff.WithMaxTries(c.patience.Attempts), backoff.WithMaxElapsedTime(0))
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return last
}

// retry is Retry for what fails with an *Error.
func (c *Client) retry(ctx context.Context, try func() error) error {
	return c.Retry(ctx, try, func(err error) bool {
		var transfer *Error
		return errors.As(err, &transfer) && !transfer.final
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
