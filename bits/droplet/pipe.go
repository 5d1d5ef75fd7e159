package droplet

import (
	"context"
	"io"
)

const (
	pipeBlocks     = 4
	pipeBlockBytes = 256 << 10
)

// pipe carries bytes from one goroutine, the writer, to another, the reader, a few
// blocks ahead of it. (io.Pipe has no blocks: there one side always waits for the
// other.)
//
// Either side says when it ends. What was written before reaches the reader before
// the writer's error does, so where a reader stops never depends on timing.
type pipe struct {
	ctx context.Context

	// There are pipeBlocks blocks, and room for all of them in either channel: only
	// receiving ever waits.
	spare, filled chan []byte

	// Of the writer. writeErr is read after filled was closed.
	filling  []byte
	writeErr error

	// Of the reader. readErr is read after left was closed.
	reading, rest []byte
	left          chan struct{}
	readErr       error
	// ended is io.EOF once the reader was told that there is no more, or the error
	// that it got instead.
	ended error
}

func newPipe(ctx context.Context) *pipe {
	p := &pipe{
		ctx:    ctx,
		spare:  make(chan []byte, pipeBlocks),
		filled: make(chan []byte, pipeBlocks),
		left:   make(chan struct{}),
	}
	for range pipeBlocks {
		// Blocks get their memory when they are first filled.
		p.spare <- nil
	}
	return p
}

// Write implements io.Writer for the writer. Once the reader has left, it returns
// the reason that the reader gave.
func (p *pipe) Write(b []byte) (int, error) {
	select {
	case <-p.left:
		return 0, p.readErr
	default:
	}
	written := 0
	for written < len(b) {
		if p.filling == nil {
			select {
			case p.filling = <-p.spare:
			case <-p.left:
				return written, p.readErr
			}
			if p.filling == nil {
				p.filling = make([]byte, 0, pipeBlockBytes)
			}
		}
		n := min(len(b)-written, cap(p.filling)-len(p.filling))
		p.filling = append(p.filling, b[written:written+n]...)
		written += n
		if len(p.filling) == cap(p.filling) {
			p.flush()
		}
	}
	return written, nil
}

func (p *pipe) flush() {
	if len(p.filling) > 0 {
		p.filled <- p.filling
		p.filling = nil
	}
}

// closeWrite ends the writer's part. The reader gets err, or io.EOF when it is nil.
func (p *pipe) closeWrite(err error) {
	p.flush()
	p.writeErr = err
	close(p.filled)
}

// Read implements io.Reader for the reader. It also fails when ctx has ended.
func (p *pipe) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// next puts the next block into rest, in exchange for the last one.
func (p *pipe) next() error {
	if p.ended != nil {
		return p.ended
	}
	if p.reading != nil {
		p.spare <- p.reading[:0]
		p.reading = nil
	}
	block, more := <-p.filled
	switch {
	case p.ctx.Err() != nil:
		p.ended = context.Cause(p.ctx)
	case !more && p.writeErr != nil:
		p.ended = p.writeErr
	case !more:
		p.ended = io.EOF
	default:
		p.reading, p.rest = block, block
	}
	return p.ended
}

// failure is the writer's or the context's error, if the reader met it.
func (p *pipe) failure() error {
	if p.ended == io.EOF {
		return nil
	}
	return p.ended
}

// closeRead ends the reader's part, for a reason that the writer gets from then on.
func (p *pipe) closeRead(reason error) {
	p.readErr = reason
	close(p.left)
}
