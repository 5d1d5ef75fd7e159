package droplet

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Convert reads a droplet and writes it to w as a compressed layer, in one pass.
// See the package comment for what the layer is like and what errors mean; with an
// error, w must not be taken for a layer.
//
// A registry that takes uploads in pieces gets them through an io.Pipe whose
// writing end is w; end that with CloseWithError(err), whatever Convert returned.
func Convert(ctx context.Context, droplet io.Reader, w io.Writer, o Options) (Layer, error) {
	layer, err := convert(ctx, droplet, w, o)
	if err != nil && ctx.Err() != nil {
		// Whatever failed then failed because of it.
		err = context.Cause(ctx)
	}
	if err != nil {
		return Layer{}, fmt.Errorf("make a layer of the droplet: %w", err)
	}
	return layer, nil
}

func convert(ctx context.Context, droplet io.Reader, w io.Writer, o Options) (Layer, error) {
	o, err := o.complete()
	if err != nil {
		return Layer{}, err
	}
	out, err := newBlob(ctx, w, o)
	if err != nil {
		return Layer{}, err
	}

	packed, unpacked := newPipe(ctx), newPipe(ctx)
	from := newSource()
	var stages sync.WaitGroup
	stages.Go(func() { from.run(ctx, droplet, o.MaxUncompressedBytes, packed) })
	stages.Go(func() { unpack(packed, unpacked, o.MaxUncompressedBytes, len(o.Expect) > 0) })
	rewriter := newRewriter(unpacked, out, o)
	err = rewriter.run()
	unpacked.closeRead(err)
	stages.Wait()

	// Before the stream is complete, so that w never holds the whole layer of
	// another droplet than the promised one.
	if err = from.judge(err, o.Expect); err == nil {
		err = rewriter.end()
	}
	if err != nil {
		out.abandon()
		return Layer{}, err
	}
	if err := out.finish(); err != nil {
		return Layer{}, err
	}
	layer := rewriter.layer
	layer.Digest, layer.Size, layer.MediaType = digestOf(out.outlet.digest), out.outlet.size, o.Compression.mediaType()
	layer.DiffID, layer.Uncompressed = digestOf(out.diffID), out.size
	layer.SHA1, layer.SHA256, layer.DropletBytes = from.hexSHA1(), from.hexSHA256(), from.size
	return layer, nil
}
