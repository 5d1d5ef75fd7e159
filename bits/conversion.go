package bits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/irene-cf/irene/bits/droplet"
)

// conversion is a droplet's layer while it is being made: a v1.Layer whose bytes can
// be had once, and whose digest is known after that. end must be called.
type conversion struct {
	stop   context.CancelCauseFunc
	reader *io.PipeReader
	// owner is who asked for the first byte; all of them are his.
	owner atomic.Pointer[conversionBody]

	// done is closed after layer and err are set.
	done  chan struct{}
	layer droplet.Layer
	err   error
}

func convert(ctx context.Context, content io.Reader, options droplet.Options) *conversion {
	ctx, stop := context.WithCancelCause(ctx)
	reader, writer := io.Pipe()
	c := &conversion{stop: stop, reader: reader, done: make(chan struct{})}
	go func() {
		c.layer, c.err = droplet.Convert(ctx, content, writer, options)
		close(c.done)
		_ = writer.CloseWithError(c.err) // never fails
	}()
	return c
}

// errNotWanted ends a conversion that nobody reads on.
var errNotWanted = errors.New("the layer is not wanted any more")

// end stops the conversion, if it still runs, and waits until it has ended. It
// returns why it failed, unless that was for being stopped.
func (c *conversion) end() error {
	c.stop(errNotWanted)
	_ = c.reader.CloseWithError(errNotWanted) // never fails
	<-c.done
	if errors.Is(c.err, errNotWanted) {
		return nil
	}
	return c.err
}

// outcome is the layer, or stream.ErrNotComputed while it is being made.
func (c *conversion) outcome() (droplet.Layer, error) {
	select {
	case <-c.done:
		return c.layer, c.err
	default:
		return droplet.Layer{}, stream.ErrNotComputed
	}
}

// Digest is part of v1.Layer.
func (c *conversion) Digest() (v1.Hash, error) {
	layer, err := c.outcome()
	return layer.Digest, err
}

// DiffID is part of v1.Layer.
func (c *conversion) DiffID() (v1.Hash, error) {
	layer, err := c.outcome()
	return layer.DiffID, err
}

// Size is part of v1.Layer.
func (c *conversion) Size() (int64, error) {
	layer, err := c.outcome()
	return layer.Size, err
}

// MediaType is part of v1.Layer. It only has to say that this is a layer.
func (c *conversion) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Uncompressed is part of v1.Layer; nobody uploads that.
func (c *conversion) Uncompressed() (io.ReadCloser, error) {
	return nil, errors.New("a droplet's layer can't be read uncompressed while it is being made")
}

// untouched says that no byte was asked for.
func (c *conversion) untouched() bool { return c.owner.Load() == nil }

// Compressed is part of v1.Layer. As long as no byte was read it may be had again.
func (c *conversion) Compressed() (io.ReadCloser, error) {
	if !c.untouched() {
		return nil, stream.ErrConsumed
	}
	return &conversionBody{c}, nil
}

// conversionBody is one reader of a conversion, perhaps not the only one: an HTTP
// client may still hold the body of a request that was refused before it was sent.
type conversionBody struct{ conversion *conversion }

// Read is part of io.ReadCloser.
func (b *conversionBody) Read(p []byte) (int, error) {
	if !b.conversion.owner.CompareAndSwap(nil, b) && b.conversion.owner.Load() != b {
		return 0, errNotWanted
	}
	return b.conversion.reader.Read(p)
}

// Close is part of io.ReadCloser. It closes nothing that others may want to read.
func (b *conversionBody) Close() error {
	if b.conversion.owner.Load() == b {
		return b.conversion.reader.CloseWithError(errNotWanted)
	}
	return nil
}

// spool reads the layer into a file of folder without a name, which vanishes when it
// is closed.
func (c *conversion) spool(folder string) (*spooledLayer, error) {
	file, err := os.CreateTemp(folder, "irene-droplet-*")
	if err != nil {
		return nil, fmt.Errorf("keep the droplet's layer: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the droplet's layer: %w", err), file.Close())
	}
	if _, err := io.Copy(file, &conversionBody{c}); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the droplet's layer: %w", err), file.Close())
	}
	layer, err := c.outcome()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &spooledLayer{Layer: layer, file: file}, nil
}

// spooledLayer is a finished layer in a file.
type spooledLayer struct {
	droplet.Layer
	file *os.File
}

// Digest is part of v1.Layer.
func (l *spooledLayer) Digest() (v1.Hash, error) { return l.Layer.Digest, nil }

// DiffID is part of v1.Layer.
func (l *spooledLayer) DiffID() (v1.Hash, error) { return l.Layer.DiffID, nil }

// Size is part of v1.Layer.
func (l *spooledLayer) Size() (int64, error) { return l.Layer.Size, nil }

// MediaType is part of v1.Layer.
func (l *spooledLayer) MediaType() (types.MediaType, error) { return l.Layer.MediaType, nil }

// Uncompressed is part of v1.Layer; nobody uploads that.
func (l *spooledLayer) Uncompressed() (io.ReadCloser, error) {
	return nil, errors.New("a spooled layer can't be read uncompressed")
}

// Compressed is part of v1.Layer.
func (l *spooledLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(l.file, 0, l.Layer.Size)), nil
}
