package bits

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	// maxAttempts bounds how often one request is sent.
	maxAttempts = 5
	// firstBackoff is the wait before the second attempt; it doubles from then on.
	firstBackoff = 200 * time.Millisecond
	// maxRetryAfter is the longest wait that a server can ask for. What asks for more
	// is told to the caller, who has other things to do.
	maxRetryAfter = 15 * time.Second
)

// retrying sends a request again when the answer is 429 or a server's failure, or
// when there is none. Requests whose body can't be read again are sent once, and so
// is PATCH, which continues something: a second one would continue it twice.
type retrying struct {
	inner        http.RoundTripper
	firstBackoff time.Duration
}

var retriedCodes = []int{
	http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// RoundTrip implements http.RoundTripper.
func (t retrying) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	for attempt := 1; ; attempt++ {
		response, err := t.inner.RoundTrip(request)
		if attempt == maxAttempts || !repeatable(request) || !worthRepeating(ctx, response, err) {
			return response, err
		}
		wait := backoff(t.firstBackoff, attempt)
		if response != nil {
			asked := retryAfter(response)
			if asked > maxRetryAfter {
				return response, err
			}
			wait = max(wait, asked)
		}
		// With no time left for another attempt, this outcome says more than a
		// deadline would.
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return response, err
		}
		again, repeatErr := repeated(request)
		if repeatErr != nil {
			return response, err
		}
		discard(response)
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		request = again
	}
}

func repeatable(request *http.Request) bool {
	return request.Method != http.MethodPatch && (request.Body == nil || request.Body == http.NoBody || request.GetBody != nil)
}

func worthRepeating(ctx context.Context, response *http.Response, err error) bool {
	if err != nil {
		return ctx.Err() == nil && !wrongPeer(err) && !errors.As(err, new(*permanent))
	}
	return slices.Contains(retriedCodes, response.StatusCode)
}

// permanent is an error that another attempt would only repeat.
type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// repeated is request with its body from the start.
func repeated(request *http.Request) (*http.Request, error) {
	again := request.Clone(request.Context())
	if request.GetBody != nil && request.Body != nil && request.Body != http.NoBody {
		body, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	return again, nil
}

// discard lets a connection be used again.
func discard(response *http.Response) {
	if response != nil {
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
		_ = response.Body.Close()
	}
}

// backoff is the wait after the attempt-th failure in a row: twice as long each
// time, and up to half as much again, so that those who failed together don't come
// back together.
func backoff(first time.Duration, attempt int) time.Duration {
	wait := first << (attempt - 1)
	return wait + rand.N(wait/2+1)
}

// retryAfter is how long a server asks to wait, 0 when it doesn't say.
func retryAfter(response *http.Response) time.Duration {
	value := response.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// sleep waits, and fails when ctx ends first.
func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// worthAnotherUpload says whether an upload should begin anew: when the sending of
// its bytes failed, which is never repeated below, or when the registry no longer
// knows it, or has no bytes of it, because an attempt whose answer got lost had
// finished it, perhaps. Each begins with asking whether the blob is there.
func worthAnotherUpload(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*permanent)) {
		return false
	}
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		sending := answer.Request != nil && answer.Request.Method == http.MethodPatch
		return sending && answer.Temporary() || uploadForgotten(answer)
	}
	failed, ok := errors.AsType[*url.Error](err)
	return ok && failed.Op == "Patch"
}

func uploadForgotten(answer *transport.Error) bool {
	for _, diagnostic := range answer.Errors {
		if diagnostic.Code == transport.BlobUploadUnknownErrorCode || diagnostic.Code == transport.DigestInvalidErrorCode {
			return true
		}
	}
	return false
}
