package droplet_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/fixtures/heap"
)

const (
	benchmarkBytes = 100 << 20
	// noiseBytes stands for what is compressed already: images, jars.
	noiseBytes = 15 << 20
)

// benchmarkDroplet packs 100 MB into a file and returns that file's name, and the
// archive's size: Go's sources and programs, and noise.
func benchmarkDroplet(b *testing.B) (name string, size int64) {
	b.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatalf("the droplet is made of Go's own files: %v", err)
	}
	packed, err := os.Create(filepath.Join(b.TempDir(), "droplet.tgz"))
	if err != nil {
		b.Fatal(err)
	}
	buffered := bufio.NewWriter(packed)
	zipped := gzip.NewWriter(buffered)
	counted := &counter{to: zipped}
	w := tar.NewWriter(counted)
	add := func(name string, content []byte) error {
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Mode: 0o644, Size: int64(len(content)), ModTime: then}); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	noise := make([]byte, noiseBytes)
	if _, err = rand.NewChaCha8([32]byte{}).Read(noise); err == nil {
		err = add("app/noise", noise)
	}
	for _, part := range []string{"bin", "src"} {
		top := filepath.Join(strings.TrimSpace(string(root)), part)
		if err == nil {
			err = fs.WalkDir(os.DirFS(top), ".", func(name string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() || counted.n > benchmarkBytes {
					return err
				}
				content, err := os.ReadFile(filepath.Join(top, name))
				if err != nil {
					return err
				}
				return add("app/"+part+"/"+name, content)
			})
		}
	}
	for _, end := range []func() error{w.Close, zipped.Close, buffered.Flush, packed.Close} {
		if err == nil {
			err = end()
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	return packed.Name(), counted.n
}

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// plainPass is what Convert is measured against: the standard library, one
// goroutine, the same four digests, nothing rewritten and nothing checked.
func plainPass(packed io.Reader, to io.Writer) (int64, error) {
	of := func(w ...io.Writer) io.Writer { return io.MultiWriter(w...) }
	unzipped, err := gzip.NewReader(io.TeeReader(packed, of(sha1.New(), sha256.New())))
	if err != nil {
		return 0, err
	}
	blob := &counter{to: of(sha256.New(), to)}
	zipped, err := gzip.NewWriterLevel(blob, gzip.BestSpeed)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(of(sha256.New(), zipped), unzipped); err != nil {
		return 0, err
	}
	return blob.n, zipped.Close()
}

// processorTime is what this process and the programs that it ran have used up on all
// processors, which other programs on the machine change less than the time on the
// clock.
func processorTime(b *testing.B) time.Duration {
	total := time.Duration(0)
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if err := syscall.Getrusage(who, &used); err != nil {
			b.Fatal(err)
		}
		total += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return total
}

// gunzipSHA256 is the least that anybody does who reads a droplet and checks it, in
// this process.
func gunzipSHA256(packed io.Reader) (int64, error) {
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(sha256.New(), unzipped)
	return 0, err
}

// gunzipPrograms is the same with the machine's own programs.
func gunzipPrograms(packed io.Reader) (int64, error) {
	command := exec.Command("sh", "-c", "gunzip | sha256sum")
	command.Stdin = packed
	return 0, command.Run()
}

func BenchmarkConvert(b *testing.B) {
	name, size := benchmarkDroplet(b)
	converted := func(o droplet.Options) func(io.Reader) (int64, error) {
		return func(packed io.Reader) (int64, error) {
			layer, err := droplet.Convert(context.Background(), packed, io.Discard, o)
			return layer.Size, err
		}
	}
	for _, example := range []struct {
		what string
		run  func(io.Reader) (int64, error)
	}{
		{"gunzip and sha256sum, the programs", gunzipPrograms},
		{"gunzip and SHA-256 of the standard library", gunzipSHA256},
		{"plain pass of the standard library", func(packed io.Reader) (int64, error) { return plainPass(packed, io.Discard) }},
		{"gzip fast", converted(droplet.Options{})},
		{"gzip level 6", converted(droplet.Options{Level: 6})},
		{"zstd fast", converted(droplet.Options{Compression: droplet.Zstd})},
		{"zstd level 3", converted(droplet.Options{Compression: droplet.Zstd, Level: 3})},
	} {
		b.Run(example.what, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			peak, blob, before := 0.0, int64(0), processorTime(b)
			for b.Loop() {
				packed, err := os.Open(name)
				if err != nil {
					b.Fatal(err)
				}
				peak = max(peak, float64(heap.Peak(func() { blob, err = example.run(packed) }))/(1<<20))
				if err != nil {
					b.Fatal(err)
				}
				if err := packed.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(peak, "peak-MiB")
			b.ReportMetric(float64(blob)/float64(size), "blob/archive")
		})
	}
}

// BenchmarkEntries is about small files, as in node_modules: the work that each
// entry makes.
func BenchmarkEntries(b *testing.B) {
	const count = 20_000
	var entries []entry
	for i := range count {
		entries = append(entries, file(fmt.Sprintf("./app/node_modules/@scope/package%d/lib/file%d.js", i/50, i%50), "x"))
	}
	packed := zip(b, archive(b, entries...))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := droplet.Convert(context.Background(), bytes.NewReader(packed), io.Discard, droplet.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/count, "µs/entry")
}
