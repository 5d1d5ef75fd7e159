package droplet

import (
	"encoding/hex"
	"fmt"
	"runtime"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/irene-cf/irene/opi"
)

// Compression is how a layer is compressed.
type Compression string

const (
	// Gzip is read by every registry and container runtime. It is the default.
	Gzip Compression = "gzip"
	// Zstd is faster and smaller. It is read by containerd from 1.5 and CRI-O from
	// 1.18 on.
	Zstd Compression = "zstd"
)

// mediaType is that of a layer which is compressed like this.
func (c Compression) mediaType() types.MediaType {
	if c == Zstd {
		return types.OCILayerZStd
	}
	return types.OCILayer
}

const (
	// DefaultMaxUncompressedBytes is Options.MaxUncompressedBytes where that is 0.
	DefaultMaxUncompressedBytes = 16 << 30
	// DefaultMaxEntries is Options.MaxEntries where that is 0.
	DefaultMaxEntries = 500_000

	maxParallel = 4
)

// Options say how Convert works. The zero value makes a layer that is gzipped
// fast, of a droplet of which nothing was promised.
type Options struct {
	// Compression is Gzip when empty.
	Compression Compression
	// Level is 1 (fastest) to 9 for Gzip, and 1 to 22 for Zstd as zstd's own program
	// counts, of which 1, 3, 6 and 10 are told apart. 0 is the fastest.
	Level int
	// Parallel is how many blocks are gzipped at the same time, each with about 2
	// MiB of memory; it changes no byte of the layer. 0 is the number of
	// processors, but at most 4: more have nothing to do, because decompressing
	// the droplet is one processor's work. Zstd always uses two goroutines.
	Parallel int

	// MaxUncompressedBytes bounds the droplet as it comes, the archive in it, and
	// the layer before compression, each by itself and the last one to within some
	// KiB. An app's disk quota is a sensible value. 0 is
	// DefaultMaxUncompressedBytes.
	MaxUncompressedBytes int64
	// MaxEntries bounds the entries of the droplet together with the folders that
	// it doesn't list. It also bounds memory, since entries are remembered: by at most
	// 50 bytes each, and symbolic links by at most 50 more and their targets, which may
	// have 32 bytes for each entry in the mean, or 1 MiB in all where that is more. 0 is
	// DefaultMaxEntries.
	MaxEntries int

	// Expect holds the checksums (sha1 or sha256) that were promised of the
	// droplet; all of them must be right. Cloud Controller's own is a sha1, which
	// detects damage and isn't proof against forgery.
	Expect []opi.Checksum
}

// complete fills in defaults and checks the rest.
func (o Options) complete() (Options, error) {
	highest := map[Compression]int{Gzip: 9, Zstd: 22}
	if o.Compression == "" {
		o.Compression = Gzip
	}
	if _, known := highest[o.Compression]; !known {
		return o, opi.Invalid("compression", "%q is neither %s nor %s", o.Compression, Gzip, Zstd)
	}
	if o.Level < 0 || o.Level > highest[o.Compression] {
		return o, opi.Invalid("level", "must be 0 to %d for %s, is %d", highest[o.Compression], o.Compression, o.Level)
	}
	if o.Level == 0 {
		o.Level = 1
	}
	switch {
	case o.Parallel < 0:
		return o, opi.Invalid("parallel", "must not be negative, is %d", o.Parallel)
	case o.Parallel == 0:
		o.Parallel = min(runtime.GOMAXPROCS(0), maxParallel)
	}
	switch {
	case o.MaxUncompressedBytes < 0:
		return o, opi.Invalid("maxUncompressedBytes", "must not be negative, is %d", o.MaxUncompressedBytes)
	case o.MaxUncompressedBytes == 0:
		o.MaxUncompressedBytes = DefaultMaxUncompressedBytes
	}
	switch {
	case o.MaxEntries < 0:
		return o, opi.Invalid("maxEntries", "must not be negative, is %d", o.MaxEntries)
	case o.MaxEntries == 0:
		o.MaxEntries = DefaultMaxEntries
	}
	for i, checksum := range o.Expect {
		if err := checkPromise(checksum); err != nil {
			return o, opi.Within(fmt.Sprintf("expect[%d]", i), err)
		}
	}
	return o, nil
}

func checkPromise(checksum opi.Checksum) error {
	size, known := map[string]int{algorithmSHA1: 20, algorithmSHA256: 32}[checksum.Algorithm]
	if !known {
		return opi.Invalid("algorithm", "%q is neither %s nor %s", checksum.Algorithm, algorithmSHA1, algorithmSHA256)
	}
	if value, err := hex.DecodeString(checksum.Value); err != nil || len(value) != size {
		return opi.Invalid("value", "%q is not a %s of %d hex digits", checksum.Value, checksum.Algorithm, 2*size)
	}
	return nil
}
