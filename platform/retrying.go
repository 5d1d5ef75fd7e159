package platform

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
)

// RetryOptions configure Retrying.
type RetryOptions struct {
	Backoff Backoff
	// Attempts bounds how often one request is sent.
	Attempts int
	// LongestRetryAfter is the longest pause that a server can ask for. If it asks for a
	// longer one, its answer is returned: the caller has other work to do.
	LongestRetryAfter time.Duration
	// Final reports whether a request that got no answer would fail in the same way again.
	Final func(error) bool
}

// Retrying returns a transport that sends a request again when the answer is Transient or
// when there is none. Requests with a body that can't be read again are sent once, and so
// is PATCH, which continues something: a second one would continue it twice.
func Retrying(inner http.RoundTripper, o RetryOptions) http.RoundTripper {
	return retrying{inner, o}
}

type retrying struct {
	inner   http.RoundTripper
	options RetryOptions
}

// Transient reports whether a status code is one after which the same request may succeed.
func Transient(code int) bool { return slices.Contains(transientCodes, code) }

var transientCodes = []int{
	http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// errTransient stands for an answer that is transient.
var errTransient = errors.New("the server can't answer at present")

// RoundTrip implements http.RoundTripper.
func (t retrying) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	pauses := t.options.Backoff.Pauses()
	var response *http.Response
	err := Retry(ctx, pauses, func() error {
		var err error
		response, err = t.inner.RoundTrip(request)
		if err == nil && Transient(response.StatusCode) {
			return errTransient
		}
		return err
	}, func(err error, pause time.Duration) (time.Duration, bool) {
		if pauses.Failures() == t.options.Attempts || !repeatable(request) {
			return 0, false
		}
		if response == nil {
			if ctx.Err() != nil || t.options.Final(err) {
				return 0, false
			}
		} else {
			asked, within := RetryAfter(response.Header, time.Now(), t.options.LongestRetryAfter)
			if !within {
				return 0, false
			}
			pause = max(pause, asked)
		}
		// With no time left for another attempt, this outcome explains more than a
		// deadline would.
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
			return 0, false
		}
		next, err := repeated(request)
		if err != nil {
			return 0, false
		}
		Discard(response)
		request, response = next, nil
		return pause, true
	})
	if response != nil {
		return response, nil
	}
	return nil, err
}

func repeatable(request *http.Request) bool {
	return request.Method != http.MethodPatch && (request.Body == nil || request.Body == http.NoBody || request.GetBody != nil)
}

// repeated returns the request with its body from the start.
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

// maxDiscarded bounds what is read of an unwanted body; a longer one costs the connection.
const maxDiscarded = 64 << 10

// Discard closes an answer, if there is one, so that its connection can be used again.
func Discard(response *http.Response) {
	if response != nil {
		_, _ = io.CopyN(io.Discard, response.Body, maxDiscarded)
		_ = response.Body.Close()
	}
}
