package steps

import (
	"context"
	"io"
)

// Droplet is what push knows of a droplet.
type Droplet struct {
	// Size is the archive's, in bytes.
	Size int64
	// SHA1 and SHA256 are the archive's digests in hex.
	SHA1   string
	SHA256 string
	// Stack is the name of the stack that it was built on.
	Stack string
	// Result is the build's result.json as Result.Text writes it.
	Result []byte
}

// DropletStore is the registry as push needs it.
type DropletStore interface {
	// Push stores the droplet, a gzipped tar archive that holds ./app, ./deps and so
	// on, and returns the digest of its manifest. The archive was written by user
	// code; it is checked while it is stored. Push reads the file through ReadAt,
	// from the beginning. Errors wrap opi.ErrUnavailable where another call may succeed;
	// a *Failure is final. What is stored already is not sent again.
	Push(ctx context.Context, file *io.SectionReader, droplet Droplet) (digest string, err error)
}
