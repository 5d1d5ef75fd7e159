package archive

import (
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/klauspost/pgzip"
)

// Level 5 is where this compressor's curve bends: it takes about as long as level 3
// and saves a tenth; 6 takes half as long again for a few percent. Droplets are
// stored, sent and pulled many times over.
const compressionLevel = 5

// compressionBlock is what one processor compresses at a time, in bytes. Blocks
// share their dictionary, and the result does not depend on the number of
// processors.
const compressionBlock = 1 << 20

// maxCompressors bounds how many processors compress. Each needs some four MiB, of
// memory that is the app's.
const maxCompressors = 8

// compressor gzips on several processors. Its first error is kept from the compressor
// underneath, which would leave goroutines behind.
type compressor struct {
	*pgzip.Writer
	to *firstError
}

func newCompressor(w io.Writer) (*compressor, error) {
	to := &firstError{w: w}
	inner, err := pgzip.NewWriterLevel(to, compressionLevel)
	if err != nil {
		return nil, err
	}
	if err := inner.SetConcurrency(compressionBlock, min(runtime.GOMAXPROCS(0), maxCompressors)+1); err != nil {
		return nil, err
	}
	inner.ModTime = time.Unix(0, 0) // which gzip takes for none
	return &compressor{inner, to}, nil
}

// Write compresses p, or returns the error that an earlier write met.
func (c *compressor) Write(p []byte) (int, error) {
	if err := c.to.err(); err != nil {
		return 0, err
	}
	return c.Writer.Write(p)
}

// Close writes what is left and ends all goroutines.
func (c *compressor) Close() error {
	if err := c.Writer.Close(); err != nil {
		return err
	}
	return c.to.err()
}

// firstError passes writes on until one fails; then it swallows them.
type firstError struct {
	w      io.Writer
	mutex  sync.Mutex
	failed error
}

func (f *firstError) Write(p []byte) (int, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.failed == nil {
		_, f.failed = f.w.Write(p)
	}
	return len(p), nil
}

func (f *firstError) err() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.failed
}
