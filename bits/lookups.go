package bits

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/irene-cf/irene/opi"
)

const (
	// maxLookups bounds the images that are read at a time, and so the memory for their
	// manifests and configs: some 20 MiB each at the worst.
	maxLookups = 8
	// failureHold is how long a failed lookup is not repeated: less than the pause between
	// two syncs of Cloud Controller, because the reason may pass.
	failureHold = 20 * time.Second
	// faultHold is how long an image whose content is at fault is not read again. It is
	// known by its digest, so it can't get better.
	faultHold = 30 * time.Minute
	// maxFailedLookups bounds the failures that are remembered.
	maxFailedLookups = 4096
	// maxErrorBytes bounds the text of an error, which may contain a registry's answer.
	maxErrorBytes = 1024
)

// parse reads a reference. Its registry is reached without TLS only if the rules say so.
func (u *ImageUsers) parse(text string) (name.Reference, error) {
	reference, err := parseImage(text)
	if err == nil && u.rules.PlainHTTP(reference.Context().RegistryStr()) {
		return parseImage(text, name.Insecure)
	}
	return reference, err
}

// lookupTimeout is a context's cause.
type lookupTimeout struct{ reason string }

func (e *lookupTimeout) Error() string { return e.reason }
func (e *lookupTimeout) Unwrap() error { return context.DeadlineExceeded }

// enter waits until fewer than maxLookups are under way, and returns a context for one that
// ends with the timeout. The wait is bounded by the timeout, too.
func (u *ImageUsers) enter(ctx context.Context) (lookup context.Context, leave func(), err error) {
	wait, cancel := context.WithTimeoutCause(ctx, u.timeout,
		&lookupTimeout{fmt.Sprintf("too many other images were looked at for %s", u.timeout)})
	defer cancel()
	select {
	case u.lookups <- struct{}{}:
	case <-wait.Done():
		return nil, nil, context.Cause(wait)
	}
	lookup, stop := context.WithTimeoutCause(ctx, u.timeout,
		&lookupTimeout{fmt.Sprintf("the registry did not answer within %s", u.timeout)})
	return lookup, func() {
		stop()
		<-u.lookups
	}, nil
}

// failedLookups remembers failures for a while.
type failedLookups struct {
	known *lru.Cache[imageKey, failedLookup]
}

type failedLookup struct {
	err   error
	until time.Time
}

func newFailedLookups() *failedLookups {
	known, err := lru.New[imageKey, failedLookup](maxFailedLookups)
	if err != nil {
		// Only for a size below 1.
		panic(err)
	}
	return &failedLookups{known: known}
}

func (f *failedLookups) add(key imageKey, err error, hold time.Duration) {
	f.known.Add(key, failedLookup{err: err, until: time.Now().Add(hold)})
}

func (f *failedLookups) get(key imageKey) error {
	if failed, ok := f.known.Get(key); ok && time.Now().Before(failed.until) {
		return failed.err
	}
	return nil
}

// shortError cuts and cleans an error's text for the log.
type shortError struct{ err error }

func (e *shortError) Error() string { return opi.PlainText(e.err.Error(), maxErrorBytes) }
func (e *shortError) Unwrap() error { return e.err }
