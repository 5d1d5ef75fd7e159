package archive

import (
	stdtar "archive/tar"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Whatever the bytes are: nothing is written outside of the folder, no more than
// the rules say, nothing but files, folders and links, and no link leads out.
func fuzzUnpack(f *testing.F, magic string) {
	rules := Rules{Bytes: 64 << 10, Entries: 50}
	f.Fuzz(func(t *testing.T, archive []byte) {
		archive = append([]byte(magic), bytes.TrimPrefix(archive, []byte(magic))...)
		outside := t.TempDir()
		folder := filepath.Join(outside, "folder")
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := Unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), folder, rules)
		var refused *RefusedError
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("an archive's fault looks like the disk's: %v", err)
		}
		checkUnpacked(t, outside, rules, err == nil)
	})
}

func checkUnpacked(t *testing.T, outside string, rules Rules, complete bool) {
	left, err := os.ReadDir(outside)
	if err != nil || len(left) != 1 {
		t.Fatalf("something was written outside: %v (%v)", left, err)
	}
	var size int64
	entries := 0
	folder := filepath.Join(outside, "folder")
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		entries++
		switch {
		case entry.IsDir():
		case entry.Type().IsRegular():
			info, err := entry.Info()
			if err != nil {
				return err
			}
			size += info.Size()
		case entry.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			if filepath.IsAbs(target) {
				t.Fatalf("%s leads to %s", path, target)
			}
			// A link that leads anywhere leads to something in the folder.
			if resolved, err := filepath.EvalSymlinks(path); err == nil && resolved != folder {
				if relative, err := filepath.Rel(folder, resolved); err != nil || !filepath.IsLocal(relative) {
					t.Fatalf("%s leads to %s", path, resolved)
				}
			}
		default:
			t.Fatalf("%s is a %s", path, entry.Type())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if size > rules.Bytes+256<<10 {
		t.Fatalf("%d bytes were written", size)
	}
	if complete && size > rules.Bytes || entries > 2*rules.Entries+1 {
		t.Fatalf("%d bytes and %d entries are more than the rules say", size, entries)
	}
}

func FuzzUnpackZip(f *testing.F) {
	link := fs.ModeSymlink | 0o777
	f.Add(zipOf(f, member{name: "bin/"}, member{name: "bin/x", content: "x", mode: 0o755}, member{name: "l", content: "bin", mode: link}))
	f.Add(zipOf(f, member{name: "../x"}, member{name: "l", content: "../..", mode: link}))
	f.Add(zipOf(f, member{name: "s", content: ".", mode: link}, member{name: "t", content: "s/../..", mode: link}))
	fuzzUnpack(f, "PK")
}

func FuzzUnpackTar(f *testing.F) {
	f.Add(tarOf(f, member{name: "d/"}, member{name: "d/x", content: "x"}, member{name: "h", kind: stdtar.TypeLink, target: "d/x"}, member{name: "l", kind: stdtar.TypeSymlink, target: "d"}))
	f.Add(tarOf(f, member{name: "/x"}, member{name: "l", kind: stdtar.TypeSymlink, target: "../.."}, member{name: "l/x"}))
	fuzzUnpack(f, "\x1f\x8b")
}

// FuzzUnpackPlainTar spares the fuzzer gzip, which it can't get through.
func FuzzUnpackPlainTar(f *testing.F) {
	for _, archive := range [][]byte{
		tarOf(f, member{name: "d/"}, member{name: "d/x", content: "x"}, member{name: "h", kind: stdtar.TypeLink, target: "d/x"}),
		tarOf(f, member{name: "l", kind: stdtar.TypeSymlink, target: "d"}, member{name: "l/x"}),
	} {
		f.Add(gunzipped(f, archive))
	}
	rules := Rules{Bytes: 64 << 10, Entries: 50}
	f.Fuzz(func(t *testing.T, plain []byte) {
		outside := t.TempDir()
		folder := filepath.Join(outside, "folder")
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		archive := gzipped(t, plain)
		_, err := Unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), folder, rules)
		checkUnpacked(t, outside, rules, err == nil)
	})
}
