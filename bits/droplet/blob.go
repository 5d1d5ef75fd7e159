package droplet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/pgzip"
)

const (
	// gzipBlockBytes is what is gzipped at a time. The layer's digest depends on it,
	// and on nothing else of how the work is shared out.
	gzipBlockBytes = 512 << 10
	// zstdGoroutines makes compressing and writing run beside the caller.
	zstdGoroutines = 2
)

// errStopped keeps an outlet from writing any more.
var errStopped = errors.New("the conversion has stopped")

// blob takes a layer's bytes, compresses them and writes them to the sink, with
// the digests of both sides. It must be ended by finish or by abandon.
type blob struct {
	ctx        context.Context
	diffID     hash.Hash
	size       int64
	compressor io.WriteCloser
	outlet     outlet
	// err is sticky, and nothing but an error of ctx, the sink or the compressor.
	err error
}

func newBlob(ctx context.Context, sink io.Writer, o Options) (*blob, error) {
	b := &blob{ctx: ctx, diffID: sha256.New(), outlet: outlet{sink: sink, digest: sha256.New()}}
	var err error
	switch o.Compression {
	case Zstd:
		b.compressor, err = zstd.NewWriter(&b.outlet,
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(o.Level)),
			zstd.WithEncoderConcurrency(zstdGoroutines))
	default:
		b.compressor, err = newGzip(&b.outlet, o.Level, o.Parallel)
	}
	if err != nil {
		return nil, fmt.Errorf("set up %s: %w", o.Compression, err)
	}
	return b, nil
}

func newGzip(to io.Writer, level, parallel int) (io.WriteCloser, error) {
	compressor, err := pgzip.NewWriterLevel(to, level)
	if err != nil {
		return nil, err
	}
	// No time in the header: 1970 is written as 0, which says that there is none.
	compressor.ModTime = time.Unix(0, 0)
	return compressor, compressor.SetConcurrency(gzipBlockBytes, parallel)
}

// Write implements io.Writer for the layer before compression.
func (b *blob) Write(p []byte) (int, error) {
	if b.err == nil && b.ctx.Err() != nil {
		b.err = context.Cause(b.ctx)
	}
	if b.err == nil {
		b.err = b.outlet.failure()
	}
	if b.err != nil {
		return 0, b.err
	}
	_, _ = b.diffID.Write(p) // A Hash never fails.
	n, err := b.compressor.Write(p)
	b.size += int64(n)
	if err != nil {
		b.err = fmt.Errorf("compress the layer: %w", err)
	}
	return n, b.err
}

// finish completes the compressed stream and waits until all of it is written.
func (b *blob) finish() error {
	if err := b.compressor.Close(); err != nil {
		return fmt.Errorf("compress the layer: %w", err)
	}
	return b.outlet.failure()
}

// abandon ends the compressor's goroutines and writes nothing more.
func (b *blob) abandon() {
	b.outlet.fail(errStopped)
	// Nobody wants to know of an error with what is thrown away.
	_ = b.compressor.Close()
}

// outlet is the compressor's way to the sink. To the compressor it never fails,
// because pgzip leaves a goroutine behind when its writer does: after a failure it
// swallows what comes, and blob sees to it that soon nothing comes.
type outlet struct {
	sink   io.Writer
	digest hash.Hash
	size   int64
	failed atomic.Pointer[error]
}

// Write implements io.Writer. Compressors call it from goroutines of their own,
// one call at a time.
func (o *outlet) Write(p []byte) (int, error) {
	if o.failure() != nil {
		return len(p), nil
	}
	n, err := o.sink.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.fail(fmt.Errorf("%w: %w", ErrSink, err))
		return len(p), nil
	}
	_, _ = o.digest.Write(p) // A Hash never fails.
	o.size += int64(n)
	return len(p), nil
}

func (o *outlet) fail(err error) { o.failed.CompareAndSwap(nil, &err) }

func (o *outlet) failure() error {
	if err := o.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func digestOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: algorithmSHA256, Hex: hex.EncodeToString(h.Sum(nil))}
}
