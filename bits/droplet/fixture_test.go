package droplet_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/opi"
)

// then is a time of change with a part of a second, as file systems have them.
var then = time.Unix(1_700_000_000, 123_456_789)

// entry is a tar header with the content that follows it.
type entry struct {
	tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: then, Uid: 501, Gid: 20, Uname: "me", Gname: "us"}, content}
}

func folder(name string) entry {
	return entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o750, ModTime: then}, ""}
}

func symlink(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: then}, ""}
}

func hardlink(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o644, ModTime: then}, ""}
}

func special(name string, kind byte) entry {
	return entry{tar.Header{Typeflag: kind, Name: name, Mode: 0o644, ModTime: then}, ""}
}

// with changes an entry's header.
func (e entry) with(change func(*tar.Header)) entry {
	change(&e.Header)
	return e
}

func records(records map[string]string) func(*tar.Header) {
	return func(h *tar.Header) { h.PAXRecords = records }
}

func mode(mode int64) func(*tar.Header) { return func(h *tar.Header) { h.Mode = mode } }

// archive packs entries in their order.
func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// block is a plain tar header, for what archive/tar can't write; content must
// follow in whole blocks.
func block(kind byte, name string, size int) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00", size))
	copy(b[136:], fmt.Sprintf("%011o\x00", then.Unix()))
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	putChecksum(b)
	return b
}

// putChecksum makes a header valid.
func putChecksum(header []byte) {
	copy(header[148:], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
}

func padded(content string) []byte {
	return append([]byte(content), make([]byte, (512-len(content)%512)%512)...)
}

// paxRecord writes one as PAX wants it, its own length first.
func paxRecord(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	length := len(rest)
	for length != len(fmt.Sprint(length))+len(rest) {
		length = len(fmt.Sprint(length)) + len(rest)
	}
	return fmt.Sprint(length) + rest
}

func zip(t testing.TB, content []byte) []byte {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes()
}

// convert makes a layer of a droplet and checks everything that must hold for any.
func convert(t testing.TB, packed []byte, o droplet.Options) (droplet.Layer, []entry, error) {
	t.Helper()
	var blob bytes.Buffer
	layer, err := droplet.Convert(context.Background(), bytes.NewReader(packed), &blob, o)
	if err != nil {
		if layer != (droplet.Layer{}) {
			t.Fatalf("a layer beside the error %v", err)
		}
		return layer, nil, err
	}
	sha1Sum, sha256Sum := sha1.Sum(packed), sha256.Sum256(packed)
	for what, pair := range map[string][2]any{
		"SHA1":         {layer.SHA1, hex.EncodeToString(sha1Sum[:])},
		"SHA256":       {layer.SHA256, hex.EncodeToString(sha256Sum[:])},
		"DropletBytes": {layer.DropletBytes, int64(len(packed))},
		"Size":         {layer.Size, int64(blob.Len())},
		"Digest":       {layer.Digest.String(), digest(blob.Bytes())},
	} {
		if pair[0] != pair[1] {
			t.Fatalf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
	content := decompress(t, layer.MediaType, blob.Bytes())
	if got := digest(content); layer.DiffID.String() != got || layer.Uncompressed != int64(len(content)) {
		t.Fatalf("DiffID %s of %d bytes, want %s of %d", layer.DiffID, layer.Uncompressed, got, len(content))
	}
	entries := readLayer(t, content)
	if layer.Entries != len(entries) {
		t.Fatalf("%d entries, want %d", layer.Entries, len(entries))
	}
	return layer, entries, nil
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

func decompress(t testing.TB, as types.MediaType, blob []byte) []byte {
	t.Helper()
	r, err := decompressor(as, blob)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func decompressor(as types.MediaType, blob []byte) (io.ReadCloser, error) {
	if as == types.OCILayer {
		return gzip.NewReader(bytes.NewReader(blob))
	}
	decoder, err := zstd.NewReader(bytes.NewReader(blob), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return decoder.IOReadCloser(), nil
}

// readLayer reads a layer as a container runtime might, and fails on whatever
// could surprise one.
func readLayer(t testing.TB, layer []byte) []entry {
	t.Helper()
	var entries []entry
	kinds := map[string]byte{".": tar.TypeDir}
	for r := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean(h.Name)
		owner := 2000
		if name == "home" {
			owner = 0
		}
		old, twice := kinds[name]
		switch {
		case name != "home" && name != "home/vcap" && !strings.HasPrefix(name, "home/vcap/"), name != strings.TrimSuffix(h.Name, "/"):
			t.Fatalf("%q leads elsewhere", h.Name)
		case strings.Contains(name, "/.wh."):
			t.Fatalf("%q removes a file", h.Name)
		case kinds[path.Dir(name)] != tar.TypeDir:
			t.Fatalf("%q has no folder to be in", h.Name)
		case h.Uid != owner || h.Gid != owner || h.Uname != "" || h.Gname != "":
			t.Fatalf("%q belongs to %d:%d %q:%q", h.Name, h.Uid, h.Gid, h.Uname, h.Gname)
		case h.Mode&^0o1777 != 0:
			t.Fatalf("%q has mode %o", h.Name, h.Mode)
		case h.ModTime.Nanosecond() != 0:
			t.Fatalf("%q is of %s", h.Name, h.ModTime)
		case twice && old == tar.TypeDir && h.Typeflag != tar.TypeDir:
			t.Fatalf("%q replaces a folder with all that is in it", h.Name)
		case h.Typeflag == tar.TypeLink && (kinds[h.Linkname] != tar.TypeReg && kinds[h.Linkname] != tar.TypeFifo || h.Linkname == name):
			t.Fatalf("%q is a hard link to %q", h.Name, h.Linkname)
		}
		for key := range h.PAXRecords {
			if key != "path" && key != "linkpath" && key != "size" {
				t.Fatalf("%q has a PAX record %q", h.Name, key)
			}
		}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeFifo:
			kinds[name] = h.Typeflag
		case tar.TypeLink:
			kinds[name] = tar.TypeReg
		default:
			t.Fatalf("%q is of kind %q", h.Name, h.Typeflag)
		}
		entries = append(entries, entry{*h, string(content)})
	}
	return entries
}

// listed is each entry as one line: kind, permissions, path, and what is in it.
func listed(entries []entry) []string {
	var lines []string
	for _, e := range entries {
		line := fmt.Sprintf("%c %o %s", e.Typeflag, e.Mode, e.Name)
		switch e.Typeflag {
		case tar.TypeReg:
			line += " = " + e.content
		case tar.TypeSymlink, tar.TypeLink:
			line += " -> " + e.Linkname
		}
		lines = append(lines, line)
	}
	return lines
}

// promise is what someone might promise of a droplet.
func promise(packed []byte) []opi.Checksum {
	sha1Sum, sha256Sum := sha1.Sum(packed), sha256.Sum256(packed)
	return []opi.Checksum{
		{Algorithm: "sha1", Value: hex.EncodeToString(sha1Sum[:])},
		{Algorithm: "sha256", Value: hex.EncodeToString(sha256Sum[:])},
	}
}

// expectRefusal checks that err refuses the droplet, for that reason alone.
func expectRefusal(t testing.TB, err error, text string) *droplet.Refusal {
	t.Helper()
	g := NewWithT(t)
	g.Expect(err).To(MatchError(ContainSubstring(text)))
	g.Expect(err).To(MatchError(droplet.ErrRefused))
	for _, other := range []error{droplet.ErrChecksum, droplet.ErrSource, droplet.ErrSink} {
		g.Expect(err).NotTo(MatchError(other))
	}
	refusal, ok := errors.AsType[*droplet.Refusal](err)
	g.Expect(ok).To(BeTrue())
	return refusal
}
