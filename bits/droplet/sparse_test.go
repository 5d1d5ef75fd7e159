package droplet_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet"
)

// sparsePAX packs a file of size bytes that has data at offset, in the format of
// that version, as GNU tar does.
func sparsePAX(major, minor string, size, offset int, data string) []byte {
	pax := paxRecord("GNU.sparse.major", major) + paxRecord("GNU.sparse.minor", minor) +
		paxRecord("GNU.sparse.name", "app/sparse") + paxRecord("GNU.sparse.realsize", fmt.Sprint(size))
	packed := string(padded(fmt.Sprintf("1\n%d\n%d\n", offset, len(data)))) + data
	return slices.Concat(block('x', "pax", len(pax)), padded(pax),
		block('0', "GNUSparseFile.0/sparse", len(packed)), padded(packed), make([]byte, 1024))
}

// sparseGNU does so in the old format, with the map in the header.
func sparseGNU(size, offset int, data string) []byte {
	b := block('S', "app/sparse", len(data))
	copy(b[257:], "ustar  \x00")
	copy(b[386:], fmt.Sprintf("%011o\x00%011o\x00", offset, len(data)))
	copy(b[483:], fmt.Sprintf("%011o\x00", size))
	putChecksum(b)
	return slices.Concat(b, padded(data), make([]byte, 1024))
}

func TestSparseFilesAreExpanded(t *testing.T) {
	const size, offset = 100_000, 70_000
	data := strings.Repeat("data", 300)
	want := make([]byte, size)
	copy(want[offset:], data)
	for format, packed := range map[string][]byte{"PAX 1.0": sparsePAX("1", "0", size, offset, data), "GNU": sparseGNU(size, offset, data)} {
		t.Run(format, func(t *testing.T) {
			g := NewWithT(t)
			_, entries, err := convert(t, packed, droplet.Options{})
			g.Expect(err).NotTo(HaveOccurred())
			at := slices.IndexFunc(entries, func(e entry) bool { return e.Name == "home/vcap/app/sparse" })
			g.Expect(at).To(BeNumerically(">", 0))
			g.Expect(entries[at].Typeflag).To(BeEquivalentTo(tar.TypeReg))
			g.Expect(bytes.Equal([]byte(entries[at].content), want)).To(BeTrue())

			_, _, err = convert(t, packed, droplet.Options{MaxUncompressedBytes: size})
			g.Expect(expectRefusal(t, err, "unpack to more than").Entry).To(Equal("app/sparse"))
		})
	}
}

func TestSparseFilesThatAreRefused(t *testing.T) {
	for what, example := range map[string]struct {
		packed []byte
		reason string
	}{
		"of the future":        {sparsePAX("2", "0", 10, 0, "data"), "is a sparse file in a format that is not known"},
		"of holes without end": {sparsePAX("1", "0", 1<<50, 0, "data"), "makes the droplet unpack to more than"},
		"with a broken map":    {sparsePAX("1", "0", 2, 100, "data"), "is no tar archive"},
		"star's own": {slices.Concat(block('x', "pax", 26), padded(paxRecord("SCHILY.filetype", "sparse")), block('0', "x", 1), padded("x"), make([]byte, 1024)),
			"is a sparse file in a format that is not known"},
	} {
		t.Run(what, func(t *testing.T) {
			_, _, err := convert(t, example.packed, droplet.Options{})
			expectRefusal(t, err, example.reason)
		})
	}
}

// A file of 9 GiB needs a PAX header. Its first blocks are enough to see that.
func TestFilesOfMoreThan8GiB(t *testing.T) {
	for format, header := range map[string]tar.Format{"PAX": tar.FormatPAX, "GNU": tar.FormatGNU} {
		t.Run(format, func(t *testing.T) {
			g := NewWithT(t)
			var packed bytes.Buffer
			g.Expect(tar.NewWriter(&packed).WriteHeader(&tar.Header{Name: "app/huge", Mode: 0o644, Size: 9 << 30, Format: header})).To(Succeed())
			packed.Write(make([]byte, 2<<20))
			blob := &firstBlock{filled: make(chan struct{})}
			_, err := droplet.Convert(context.Background(), io.MultiReader(&packed, blob), blob, droplet.Options{})
			g.Expect(err).To(MatchError(errBroken))

			unzipped, err := gzip.NewReader(&blob.content)
			g.Expect(err).NotTo(HaveOccurred())
			for r := tar.NewReader(unzipped); ; {
				h, err := r.Next()
				g.Expect(err).NotTo(HaveOccurred())
				if h.Name == "home/vcap/app/huge" {
					g.Expect(h.Size).To(BeEquivalentTo(9 << 30))
					return
				}
			}
		})
	}
}

// firstBlock is a sink that notices the first compressed block after gzip's
// header, and a source that waits for this and then breaks.
type firstBlock struct {
	content bytes.Buffer
	filled  chan struct{}
}

func (f *firstBlock) Write(p []byte) (int, error) {
	before := f.content.Len()
	n, err := f.content.Write(p)
	if before <= 10 && before+n > 10 {
		close(f.filled)
	}
	return n, err
}

func (f *firstBlock) Read([]byte) (int, error) {
	<-f.filled
	return 0, errBroken
}
