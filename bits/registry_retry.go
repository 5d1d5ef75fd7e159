package bits

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/irene-cf/irene/platform"
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

// retryOptions are for requests to a registry and to droplet sources. The first pause is
// between first and one and a half of it.
func retryOptions(first time.Duration) platform.RetryOptions {
	return platform.RetryOptions{
		Backoff:           platform.Backoff{First: first * 5 / 4, Jitter: 0.2},
		Attempts:          maxAttempts,
		LongestRetryAfter: maxRetryAfter,
		Final:             func(err error) bool { return wrongPeer(err) || errors.As(err, new(*permanent)) },
	}
}

// permanent is an error that another attempt would only repeat.
type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

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
