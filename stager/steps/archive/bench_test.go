package archive

import (
	stdtar "archive/tar"
	stdzip "archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var generous = Rules{Bytes: 4 << 30, Entries: 1 << 20}

// writeApp makes an app of about so many bytes in files of that size: some of it
// text, some already compressed, as real ones are. With many files in folders of a
// hundred.
func writeApp(b *testing.B, size, fileSize int) string {
	b.Helper()
	folder := b.TempDir()
	noise := rand.New(rand.NewChaCha8([32]byte{1}))
	for i := range size / fileSize {
		var content bytes.Buffer
		for content.Len() < fileSize {
			if i%3 == 0 {
				fmt.Fprintf(&content, "%016x", noise.Uint64())
				continue
			}
			fmt.Fprintf(&content, "func name%d(argument string) error { return fmt.Errorf(%q, argument) }\n", noise.IntN(5000), words[noise.IntN(len(words))])
		}
		content.Truncate(fileSize)
		name := filepath.Join(folder, fmt.Sprintf("lib/%03d/%05d.go", i/100, i))
		if i%100 == 0 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(name, content.Bytes(), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return folder
}

var words = strings.Fields("can't open the file of this name because there is no room on the disk or somebody else was faster than we were")

const (
	appOf200MB    = 200 << 20
	hundredKFiles = 100_000
)

var shapes = []struct {
	name           string
	size, fileSize int
}{
	{"200MB", appOf200MB, 64 << 10},
	{"100000files", hundredKFiles * 600, 600},
}

func BenchmarkPack(b *testing.B) {
	for _, shape := range shapes {
		folder := writeApp(b, shape.size, shape.fileSize)
		b.Run(shape.name, func(b *testing.B) {
			root, err := os.OpenRoot(folder)
			if err != nil {
				b.Fatal(err)
			}
			defer root.Close()
			b.SetBytes(int64(shape.size))
			for b.Loop() {
				out := create(b)
				if _, err := Pack(context.Background(), out, []Part{{Name: "./app", Folder: root}}); err != nil {
					b.Fatal(err)
				}
				report(b, out)
			}
		})
		// What "tar -cz" does: one reader, one compressor, Go's own.
		b.Run(shape.name+"/baseline", func(b *testing.B) {
			b.SetBytes(int64(shape.size))
			for b.Loop() {
				out := create(b)
				if err := packPlainly(out, folder); err != nil {
					b.Fatal(err)
				}
				report(b, out)
			}
		})
	}
}

func create(b *testing.B) *os.File {
	b.Helper()
	out, err := os.CreateTemp(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func report(b *testing.B, out *os.File) {
	b.Helper()
	info, err := out.Stat()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/(1<<20), "MB-packed")
	if err := out.Close(); err != nil {
		b.Fatal(err)
	}
	_ = os.Remove(out.Name())
}

func packPlainly(out io.Writer, folder string) error {
	z := gzip.NewWriter(out)
	w := stdtar.NewWriter(z)
	if err := w.AddFS(os.DirFS(folder)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return z.Close()
}

func BenchmarkUnpackZip(b *testing.B) {
	for _, shape := range shapes {
		archive := zipFolder(b, writeApp(b, shape.size, shape.fileSize))
		b.Run(shape.name, func(b *testing.B) {
			b.SetBytes(int64(shape.size))
			for b.Loop() {
				folder := b.TempDir()
				if _, err := Unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), folder, generous); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				_ = os.RemoveAll(folder)
				b.StartTimer()
			}
		})
		b.Run(shape.name+"/baseline", func(b *testing.B) {
			b.SetBytes(int64(shape.size))
			for b.Loop() {
				folder := b.TempDir()
				if err := unpackPlainly(archive, folder); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				_ = os.RemoveAll(folder)
				b.StartTimer()
			}
		})
	}
}

func zipFolder(b *testing.B, folder string) []byte {
	b.Helper()
	var archive bytes.Buffer
	w := stdzip.NewWriter(&archive)
	if err := w.AddFS(os.DirFS(folder)); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return archive.Bytes()
}

// unpackPlainly checks nothing but what os.Root checks.
func unpackPlainly(archive []byte, folder string) error {
	r, err := stdzip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return err
	}
	return os.CopyFS(folder, filesOnly{r})
}

// filesOnly is a file system of a zip archive.
type filesOnly struct{ fs.FS }
