package bits

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/irene-cf/irene/opi"
)

// DropletSources fetches a droplet from the URL that came with the request for it, and
// otherwise from what the operator has configured. It is a [DropletSource].
type DropletSources struct {
	// Requested fetches droplets that have URLs, Configured all droplets. Either may be nil.
	Requested, Configured DropletSource
}

// Open implements [DropletSource]. A URL of a request may have expired, so its failure is
// final only if nothing is configured.
func (s DropletSources) Open(ctx context.Context, droplet opi.Droplet, processGUID string) (io.ReadCloser, error) {
	var requestedErr error
	if droplet.URL != "" && s.Requested != nil {
		content, err := s.Requested.Open(ctx, droplet, processGUID)
		if err == nil || s.Configured == nil || ctx.Err() != nil {
			return content, err
		}
		requestedErr = err
	}
	if s.Configured == nil {
		return nil, dropletGone(fmt.Errorf("%w: droplet %s is not in the registry, and no source of droplets is configured", opi.ErrRefused, droplet.Checksum.Value))
	}
	droplet.URL = ""
	content, err := s.Configured.Open(ctx, droplet, processGUID)
	if err != nil {
		return nil, errors.Join(err, requestedErr)
	}
	return content, nil
}
