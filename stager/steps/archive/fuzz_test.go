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
// the rules say, and nothing but files, folders and links.
func fuzzUnpack(f *testing.F, magic string) {
	rules := Rules{Bytes: 64 << 10, Entries: 50}
	f.Fuzz(func(t *testing.T, archive []byte) {
		archive = append([]byte(magic), bytes.TrimPrefix(archive, []byte(magic))...)
		outside, folder := newHostileGround(t)
		_, err := Unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), folder, rules)
		var refused *RefusedError
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("an archive's fault looks like the disk's: %v", err)
		}
		checkUnpacked(t, outside, rules, err == nil)
	})
}

// newHostileGround returns a folder to unpack to, and the folder around it with a file
// "victim" that links can lead to.
func newHostileGround(t *testing.T) (outside, folder string) {
	t.Helper()
	outside = t.TempDir()
	write(t, outside, "victim", "unharmed", 0o640)
	folder = filepath.Join(outside, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return outside, folder
}

func checkUnpacked(t *testing.T, outside string, rules Rules, complete bool) {
	left, err := os.ReadDir(outside)
	if err != nil || len(left) != 2 {
		t.Fatalf("something was written outside: %v (%v)", left, err)
	}
	victim, err := os.Stat(filepath.Join(outside, "victim"))
	if err != nil || victim.Mode() != 0o640 || !victim.ModTime().Equal(someTime) || content(t, outside, "victim") != "unharmed" {
		t.Fatalf("a file outside was changed: %v (%v)", victim, err)
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
	f.Add(zipOf(f, member{name: "l", content: "..", mode: link}, member{name: "l/victim", content: "evil"}, member{name: `w\l`, windows: true}))
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
		tarOf(f, member{name: "l", kind: stdtar.TypeSymlink, target: "../victim"}, member{name: "l", content: "evil"}),
		tarOf(f, member{name: "l", kind: stdtar.TypeSymlink, target: ".."}, member{name: "h", kind: stdtar.TypeLink, target: "l/victim"}),
	} {
		f.Add(gunzipped(f, archive))
	}
	rules := Rules{Bytes: 64 << 10, Entries: 50}
	f.Fuzz(func(t *testing.T, plain []byte) {
		outside, folder := newHostileGround(t)
		archive := gzipped(t, plain)
		_, err := Unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), folder, rules)
		checkUnpacked(t, outside, rules, err == nil)
	})
}
