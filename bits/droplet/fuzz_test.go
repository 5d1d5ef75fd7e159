package droplet_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/irene-cf/irene/bits/droplet"
)

// fuzzed converts what a fuzzer made, in two ways. Whatever it is, there must be a
// layer that nothing is wrong with, or a refusal.
func fuzzed(t *testing.T, packed []byte) []entry {
	o := droplet.Options{MaxUncompressedBytes: 1 << 20, MaxEntries: 100, Parallel: 1, Expect: promise(packed)}
	layer, entries, err := convert(t, packed, o)
	o = droplet.Options{MaxUncompressedBytes: 1 << 20, MaxEntries: 100, Parallel: 3, Compression: droplet.Zstd}
	again, _, againErr := convert(t, packed, o)
	if layer.DiffID != again.DiffID || fmt.Sprint(err) != fmt.Sprint(againErr) {
		t.Fatalf("first %s (%v), then %s (%v)", layer.DiffID, err, again.DiffID, againErr)
	}
	if err == nil {
		return entries
	}
	refusal, ok := errors.AsType[*droplet.Refusal](err)
	if !ok {
		t.Fatalf("neither a layer nor a refusal, but %v", err)
	}
	if text := refusal.Error(); strings.ContainsAny(text, "\n\x00\x1b") || len(text) > 1500 {
		t.Fatalf("%q is no text for people", text)
	}
	return nil
}

// FuzzArchive reads what only resembles a tar archive. Checksums of headers are
// put right, without which hardly any change would be read.
func FuzzArchive(f *testing.F) {
	f.Add(archive(f, folder("./app/"), file("./app/a", "A"), symlink("l", "/etc"), hardlink("h", "app/a")))
	f.Add(archive(f, file(strings.Repeat("d/", 100)+"ö", "A"), symlink("l", strings.Repeat("x", 200))))
	f.Add(archive(f, file("a", "A").with(func(h *tar.Header) { h.Format, h.Name = tar.FormatGNU, strings.Repeat("n", 150) })))
	f.Add(archive(f, file("a", "A").with(records(map[string]string{"SCHILY.xattr.user.a": "b", "comment": "c"}))))
	f.Add(archive(f, entry{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}}, file("staging_info.yml", "{}")))
	f.Add(sparsePAX("1", "0", 2000, 1000, "data"))
	f.Add(sparseGNU(2000, 1000, "data"))
	f.Add(zip(f, archive(f, file("a", "A"))))
	f.Add(archive(f, special("d", tar.TypeChar), special("f", tar.TypeFifo), file(".wh.x", "")))
	f.Fuzz(func(t *testing.T, packed []byte) {
		for at := 0; at+512 <= len(packed); at += 512 {
			header := packed[at : at+512]
			if bytes.Equal(header[257:262], []byte("ustar")) {
				putChecksum(header)
			}
		}
		fuzzed(t, packed)
	})
}

// FuzzEntries makes archives of few names and all kinds, so that entries get into
// each other's way. Each byte is an entry.
func FuzzEntries(f *testing.F) {
	names := []string{"a", "a/b", "a/b/c", "b", "./b/c", "/a", "a/../b", ".wh.a"}
	kinds := []byte{tar.TypeReg, tar.TypeReg, tar.TypeDir, tar.TypeDir, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo, tar.TypeXGlobalHeader}
	f.Add([]byte{0o20, 0o01, 0o53})
	f.Add([]byte{0o40, 0o01})
	f.Add([]byte{0o02, 0o51, 0o152, 0o24})
	f.Add([]byte{0o43, 0o253, 0o03})
	f.Fuzz(func(t *testing.T, made []byte) {
		if len(made) > 40 {
			return
		}
		var entries []entry
		content := map[string]string{}
		for i, b := range made {
			name, kind, target := names[b&7], kinds[b>>3&7], names[b>>6]
			switch kind {
			case tar.TypeReg:
				content["home/vcap/"+strings.TrimPrefix(name, "./")] = fmt.Sprint(i)
				entries = append(entries, file(name, fmt.Sprint(i)))
			case tar.TypeXGlobalHeader:
				entries = append(entries, entry{Header: tar.Header{Typeflag: kind, PAXRecords: map[string]string{"comment": "c"}}})
			default:
				entries = append(entries, special(name, kind).with(func(h *tar.Header) { h.Linkname = target }))
			}
		}
		for _, e := range fuzzed(t, archive(t, entries...)) {
			if e.Typeflag == tar.TypeReg && e.content != content[e.Name] {
				t.Fatalf("%s holds %q, want %q", e.Name, e.content, content[e.Name])
			}
		}
	})
}
