package bits

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/irene-cf/irene/opi"
)

// Config reads how an image says that it wants to run, on the platform that this process
// runs on, with the image's own credentials and nobody else's, within the timeout of
// lookups. The error wraps opi.ErrRefused where the image is at fault or is not to be
// had, and opi.ErrUnavailable where its registry may answer later. Its text is fit for
// the image's owner.
func (u *ImageUsers) Config(ctx context.Context, image opi.Image) (v1.Config, error) {
	doing := "read the config of image " + image.Reference
	reference, err := parseImage(image.Reference)
	if err != nil {
		return v1.Config{}, fmt.Errorf("%s: %w: %w", doing, opi.ErrRefused, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, u.timeout,
		fmt.Errorf("the registry did not answer within %s: %w", u.timeout, context.DeadlineExceeded))
	defer cancel()
	puller, err := u.puller(image.Credentials)
	if err != nil {
		return v1.Config{}, fmt.Errorf("%s: %w", doing, err)
	}
	_, config, err := readConfig(ctx, puller, reference)
	switch {
	case err == nil:
		return config.Config, nil
	case ctx.Err() != nil:
		return v1.Config{}, fmt.Errorf("%s: %w: %w", doing, opi.ErrUnavailable, context.Cause(ctx))
	case saysNo(err):
		return v1.Config{}, fmt.Errorf("%s: %w: %w", doing, opi.ErrRefused, err)
	}
	return v1.Config{}, fmt.Errorf("%s: %w: %w", doing, opi.ErrUnavailable, err)
}

// saysNo is whether a registry's answer would be the same a moment later.
func saysNo(err error) bool {
	answer, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return false
	}
	switch answer.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return answer.StatusCode >= 400 && answer.StatusCode < 500
}
