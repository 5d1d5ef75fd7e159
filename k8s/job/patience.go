package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/irene-cf/irene/opi"
)

// Patiently repeats do while the error wraps opi.ErrUnavailable, for some
// seconds: Cloud Controller sends a request once, and what was not taken has failed.
func Patiently(ctx context.Context, do func(context.Context) error) error {
	backoff := wait.Backoff{Duration: 300 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 5}
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
		last = do(ctx)
		return !errors.Is(last, opi.ErrUnavailable), nil
	})
	if err != nil && last == nil {
		return fmt.Errorf("%w: %w", opi.ErrUnavailable, err)
	}
	return last
}
