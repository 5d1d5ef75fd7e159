package droplet

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/irene-cf/irene/bits/droplet/staginginfo"
)

// Layer is what Convert made, and what it learnt of the droplet on the way.
type Layer struct {
	// Digest and Size are of the blob: the compressed layer, as it was written.
	Digest v1.Hash
	Size   int64
	// MediaType says how the blob is compressed.
	MediaType types.MediaType
	// DiffID and Uncompressed, a number of bytes, are of the layer before
	// compression. The DiffID is what an image's config lists.
	DiffID       v1.Hash
	Uncompressed int64
	// Entries counts the layer's entries, those included that Convert added.
	Entries int

	// SHA1 and SHA256 are the droplet's checksums, in lower-case hex, and
	// DropletBytes is its size, all as it was read.
	SHA1, SHA256 string
	DropletBytes int64

	// SetIDBits counts entries that lost a setuid or setgid bit, ExtendedAttributes
	// the attributes that were left out, and Devices the device files that were.
	SetIDBits, ExtendedAttributes, Devices int

	// StagingInfo is what the droplet's staging_info.yml says. It is zero when the
	// droplet has none.
	StagingInfo staginginfo.Info
	// StagingInfoError says why a staging_info.yml that is there can't be read. The
	// launcher can't read it either: such an app starts only with a command from
	// elsewhere.
	StagingInfoError error
}
