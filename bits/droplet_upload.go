package bits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/platform"
)

// maxSends bounds how often a droplet is read and sent.
const maxSends = 3

// sendDroplet sends a droplet's layer to <prefix>/droplets. It begins again when the
// way to the registry broke; what is wrong with the droplet, or with the way to it,
// is not mended by that.
func (r *Registry) sendDroplet(ctx context.Context, options droplet.Options, open func() (io.ReadCloser, error)) (droplet.Layer, error) {
	var failure error
	pauses := retryOptions(r.host.backoff.Duration).Backoff.Pauses()
	for attempt := 1; ; attempt++ {
		content, err := open()
		if errors.Is(err, errReadOnce) {
			return droplet.Layer{}, failure
		}
		if err != nil {
			return droplet.Layer{}, err
		}
		layer, err := r.sendOnce(ctx, content, options)
		// All of it was read, or it failed: there is nothing more to learn from it.
		_ = content.Close()
		if err == nil || attempt == maxSends || ctx.Err() != nil || !brokenWay(err) {
			return layer, err
		}
		failure = err
		if err := platform.Sleep(ctx, pauses.Next()); err != nil {
			return droplet.Layer{}, failure
		}
	}
}

// brokenWay says whether sending failed for a reason that may be gone next time.
func brokenWay(err error) bool {
	if errors.Is(err, errStreamRefused) {
		return true
	}
	if len(opi.FieldErrors(err)) > 0 {
		return false // an option is wrong
	}
	for _, final := range []error{droplet.ErrRefused, droplet.ErrChecksum, droplet.ErrSource} {
		if errors.Is(err, final) {
			return false
		}
	}
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		return answer.Temporary() || uploadForgotten(answer)
	}
	return true
}

// sendOnce converts content and sends it, as a stream or through a file.
func (r *Registry) sendOnce(ctx context.Context, content io.Reader, options droplet.Options) (droplet.Layer, error) {
	making := convert(ctx, content, options)
	err := r.sendConversion(ctx, making)
	if failed := making.end(); failed != nil && !errors.Is(failed, droplet.ErrSink) {
		// It is the reason of the other, which knows only that bytes ran out.
		return droplet.Layer{}, failed
	}
	if err != nil {
		return droplet.Layer{}, err
	}
	r.metrics.blobs.WithLabelValues(blobUploaded).Inc()
	return making.layer, nil
}

// errStreamRefused says that a registry did not take a stream, after it had used
// some of it up.
var errStreamRefused = errors.New("the registry wants to know a blob's size before its bytes")

func (r *Registry) sendConversion(ctx context.Context, making *conversion) error {
	if !r.spools.Load() {
		streamer, err := r.host.streamer(ctx, r.droplets(), making.untouched)
		if err != nil {
			return err
		}
		err = streamer.Upload(ctx, r.droplets(), making)
		if err == nil {
			return nil
		}
		if !refusesStreams(err) {
			return r.unlessStored(ctx, making, err)
		}
		if !making.untouched() {
			r.spools.Store(true)
			return fmt.Errorf("%w: %w", errStreamRefused, err)
		}
	}
	spooled, err := making.spool(r.spoolDir)
	if err != nil {
		return err
	}
	defer spooled.file.Close()
	pusher, err := r.host.pusher(ctx, r.droplets())
	if err != nil {
		return err
	}
	if err := pusher.Upload(ctx, r.droplets(), spooled); err != nil {
		return err
	}
	r.spools.Store(true)
	return nil
}

// refusesStreams recognises the answers to a body without a length.
func refusesStreams(err error) bool {
	answer, ok := errors.AsType[*transport.Error](err)
	return ok && answer.Request != nil && answer.Request.Method == http.MethodPatch && slices.Contains([]int{
		http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusLengthRequired,
		http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented,
	}, answer.StatusCode)
}

// unlessStored forgives a failure after the last byte, when the blob turns out to be
// there: only the answer got lost.
func (r *Registry) unlessStored(ctx context.Context, making *conversion, failure error) error {
	layer, err := making.outcome()
	if err != nil || ctx.Err() != nil {
		return failure
	}
	stored, err := r.hasBlob(ctx, layer.Digest)
	if err != nil || !stored {
		return failure
	}
	return nil
}

// hasBlob asks whether <prefix>/droplets has a blob.
func (r *Registry) hasBlob(ctx context.Context, digest v1.Hash) (bool, error) {
	puller, err := r.host.puller(ctx, r.droplets())
	if err != nil {
		return false, err
	}
	layer, err := puller.Layer(ctx, r.droplets().Digest(digest.String()))
	if err != nil {
		return false, err
	}
	// Its size is what go-containerregistry asks for with HEAD.
	_, err = layer.Size()
	if isNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
