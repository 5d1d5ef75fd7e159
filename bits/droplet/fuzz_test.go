package droplet_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
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
	f.Add(archive(f, special("f", tar.TypeFifo), file("/a", "1"), hardlink("a", "/a"), file("a", "2"), special("d", 'D'), special("v", 'V'), special("x", 'A')))
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
	kinds := []byte{tar.TypeReg, tar.TypeReg, tar.TypeDir, tar.TypeChar, tar.TypeSymlink, tar.TypeLink, tar.TypeFifo, tar.TypeXGlobalHeader}
	f.Add([]byte{0o20, 0o01, 0o53})
	f.Add([]byte{0o40, 0o01})
	f.Add([]byte{0o02, 0o51, 0o152, 0o24})
	f.Add([]byte{0o43, 0o253, 0o03})
	f.Add([]byte{0o00, 0o53, 0o00, 0o50, 0o05}) // a file, a link to it, the file again, a link to itself, an absolute name
	f.Add([]byte{0o00, 0o40, 0o60, 0o30, 0o20, 0o01})
	f.Fuzz(func(t *testing.T, made []byte) {
		if len(made) > 40 {
			return
		}
		var entries []entry
		for i, b := range made {
			name, kind, target := names[b&7], kinds[b>>3&7], names[b>>6]
			switch kind {
			case tar.TypeReg:
				entries = append(entries, file(name, fmt.Sprint(i)))
			case tar.TypeXGlobalHeader:
				entries = append(entries, entry{Header: tar.Header{Typeflag: kind, PAXRecords: map[string]string{"comment": "c"}}})
			default:
				entries = append(entries, special(name, kind).with(func(h *tar.Header) { h.Linkname = target }))
			}
		}
		layer := fuzzed(t, archive(t, entries...))
		if layer == nil {
			return
		}
		for i := range entries {
			entries[i].Name, entries[i].Linkname = path.Join("home/vcap", entries[i].Name), path.Join("home/vcap", entries[i].Linkname)
		}
		if got, want := unpackedFiles(layer), unpackedFiles(entries); !maps.Equal(got, want) {
			t.Fatalf("unpacked, the layer has the files %v, and the droplet %v", got, want)
		}
	})
}

// unpackedFiles returns the contents of the files that there are after unpacking. What comes
// later replaces what is there by its name.
func unpackedFiles(entries []entry) map[string]string {
	files := map[string]string{}
	for _, e := range entries {
		switch e.Typeflag {
		case tar.TypeReg:
			files[e.Name] = e.content
		case tar.TypeLink:
			content, there := files[e.Linkname]
			delete(files, e.Name)
			if there {
				files[e.Name] = content
			}
		case tar.TypeSymlink, tar.TypeDir, tar.TypeFifo:
			delete(files, strings.TrimSuffix(e.Name, "/"))
		}
	}
	return files
}
