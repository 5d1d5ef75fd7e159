package bits

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/fixtures/heap"
	"github.com/irene-cf/irene/fixtures/registryserver"
)

// These benchmarks use Irene's own registry, in this process and on disk, with a
// password. What it costs is in their times. Bytes are those on the wire, headers
// included.

const (
	benchmarkStack = "cflinuxfs4"
	// stackBytes and dropletBytes don't compress.
	stackBytes   = 16 << 20
	dropletBytes = 50 << 20
	// rolledApps start on a new stack.
	rolledApps = 100

	// convertedBytes is how large a droplet may be whose conversion needs less than
	// maxHeap.
	convertedBytes = 2 << 30
	maxHeap        = 64 << 20
)

// measured is a cloud whose registry tells what passes.
type measured struct {
	*cloud
	door *registryserver.Door
	// requests, sent and received are what passed within measure.
	requests       int
	sent, received int64
}

// newMeasured has a stack, and has made an image of another droplet before.
func newMeasured(b *testing.B) *measured {
	b.Helper()
	server, err := registryserver.New(b.TempDir(), nil)
	check(b, err)
	b.Cleanup(func() { check(b, server.Stop()) })
	door, err := server.NewDoor()
	check(b, err)
	m := &measured{door: door, cloud: &cloud{
		t: b, hub: &hub{}, lifecycle: lifecycleOf(b, "launch program"), logger: lager.NewLogger("benchmark"),
		options: RegistryOptions{
			Address: door.Address(), Prefix: prefix,
			UsernameFile: server.Irene.UsernameFile, PasswordFile: server.Irene.PasswordFile,
		},
	}}
	m.start()
	m.patchStack("one")
	m.storeAndMake(dropletOf(b, "before", 1000))
	return m
}

// patchStack imports a stack of which only the upper layer depends on content.
func (m *measured) patchStack(content string) {
	m.t.Helper()
	noise := make([]byte, stackBytes)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	path := writeLayout(m.t, imageOf(m.t, "",
		layerOf(m.t, file("etc/passwd", debian), file("noise", string(noise))), layerOf(m.t, file("etc/version", content))))
	_, err := m.registry.ImportStack(context.Background(), benchmarkStack, StackSource{Location: path})
	check(m.t, err)
	m.lookAtStack()
}

func (m *measured) lookAtStack() {
	m.t.Helper()
	_, err := m.stacks.Refresh(context.Background(), benchmarkStack)
	check(m.t, err)
}

// store is what a build does.
func (m *measured) store(d testDroplet) {
	m.t.Helper()
	_, err := m.registry.PushDroplet(context.Background(), d.reader(), DropletPush{Stack: benchmarkStack, Conversion: promised(d)})
	check(m.t, err)
}

// make is what a desire does.
func (m *measured) make(d testDroplet) {
	m.t.Helper()
	_, err := m.assemble(d)
	check(m.t, err)
}

func (m *measured) storeAndMake(d testDroplet) {
	m.t.Helper()
	m.store(d)
	m.make(d)
}

// measure counts what passes while f runs.
func (m *measured) measure(f func()) {
	m.door.Forget()
	f()
	seen := m.door.Traffic()
	m.requests, m.sent, m.received = m.requests+len(seen.Exchanges), m.sent+seen.Sent, m.received+seen.Received
}

// report says what of it came to one of so many.
func (m *measured) report(b *testing.B, of int, unit string) {
	b.ReportMetric(float64(m.requests)/float64(of), "requests/"+unit)
	b.ReportMetric(float64(m.sent)/float64(of), "sent-B/"+unit)
	b.ReportMetric(float64(m.received)/float64(of), "received-B/"+unit)
}

// BenchmarkDropletToImage follows a droplet from a build to a running app.
func BenchmarkDropletToImage(b *testing.B) {
	for _, step := range []struct {
		what string
		// once and each go before the measured do, the one for all rounds and the other
		// for every one.
		once func(*measured, testDroplet)
		each func(m *measured, d *testDroplet, round int)
		do   func(*measured, testDroplet)
	}{
		{
			what: "first push",
			each: func(m *measured, d *testDroplet, round int) {
				*d = dropletOf(m.t, fmt.Sprint("pushed-", round), dropletBytes)
			},
			do: (*measured).store,
		},
		{
			what: "second push",
			once: (*measured).store,
			do:   (*measured).store,
		},
		{
			what: "first desire",
			once: (*measured).store,
			each: func(_ *measured, d *testDroplet, round int) { d.GUID = fmt.Sprint("desired-", round) },
			do:   (*measured).make,
		},
		{
			what: "second desire",
			once: (*measured).storeAndMake,
			do:   (*measured).make,
		},
		{
			what: "second desire, another process",
			once: (*measured).storeAndMake,
			each: func(m *measured, _ *testDroplet, _ int) {
				m.start()
				m.lookAtStack()
			},
			do: (*measured).make,
		},
	} {
		b.Run(step.what, func(b *testing.B) {
			m := newMeasured(b)
			d := dropletOf(b, "droplet", dropletBytes)
			if step.once != nil {
				step.once(m, d)
			}
			rounds := 0
			for b.Loop() {
				rounds++
				if step.each != nil {
					b.StopTimer()
					step.each(m, &d, rounds)
					b.StartTimer()
				}
				m.measure(func() { step.do(m, d) })
			}
			m.report(b, rounds, "op")
		})
	}
}

// BenchmarkNewStack starts many apps at once whose stack has been patched.
func BenchmarkNewStack(b *testing.B) {
	m := newMeasured(b)
	droplets := make([]testDroplet, rolledApps)
	for i := range droplets {
		droplets[i] = dropletOf(b, fmt.Sprint("droplet-", i), 1<<20)
		m.storeAndMake(droplets[i])
	}
	done := 0
	for b.Loop() {
		b.StopTimer()
		done++
		m.patchStack(fmt.Sprint("patched ", done))
		m.measure(func() {
			b.StartTimer()
			var group sync.WaitGroup
			for _, d := range droplets {
				group.Go(func() { m.make(d) })
			}
			group.Wait()
			b.StopTimer()
		})
		b.StartTimer()
	}
	m.report(b, done*rolledApps, "app")
}

// BenchmarkWithoutMounts is a first desire where the registry can't mount blobs of
// other repositories.
func BenchmarkWithoutMounts(b *testing.B) {
	c := newCloud(b)
	c.hub.set(func() { c.hub.noMounts = true })
	d := dropletOf(b, "d", dropletBytes)
	c.push(d, "")
	done := 0
	for b.Loop() {
		done++
		d.GUID = fmt.Sprint("droplet-", done)
		if _, err := c.assemble(d); err != nil {
			b.Fatal(err)
		}
	}
	received, sent := c.hub.bytes()
	b.ReportMetric(float64(len(c.hub.seen()))/float64(done), "requests/op")
	b.ReportMetric(float64(received)/float64(done), "sent-B/op")
	b.ReportMetric(float64(sent)/float64(done), "received-B/op")
}

// BenchmarkMemoryOfALargeDroplet fails when it takes too much. The droplet is made on
// the way and the registry is here too, so Irene's own part is smaller.
func BenchmarkMemoryOfALargeDroplet(b *testing.B) {
	for what, files := range map[string]int{"of 2048 files": 2048, "of 400000 files": 400_000} {
		b.Run(what, func(b *testing.B) {
			m := newMeasured(b)
			b.SetBytes(convertedBytes)
			peak := uint64(0)
			for b.Loop() {
				reader, writer := io.Pipe()
				go func() { _ = writer.CloseWithError(writeNoise(writer, files, convertedBytes/files)) }() // never fails
				peak = max(peak, heap.Peak(func() {
					stored, err := m.registry.PushDroplet(context.Background(), reader, DropletPush{Stack: benchmarkStack})
					check(b, err)
					if stored.Layer.Size < convertedBytes {
						b.Errorf("the layer has %d bytes", stored.Layer.Size)
					}
				}))
			}
			b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
			if peak > maxHeap {
				b.Errorf("the heap grew to %d bytes, more than %d", peak, maxHeap)
			}
		})
	}
}

// writeNoise writes a droplet of files that don't compress.
func writeNoise(w io.Writer, files, size int) error {
	zipped, err := gzip.NewWriterLevel(w, gzip.NoCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zipped)
	random := rand.NewChaCha8([32]byte{})
	content := make([]byte, size)
	for i := range files {
		_, _ = random.Read(content) // never fails
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("./app/node_modules/package%d/lib/file%d.js", i/20, i%20), Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), zipped.Close())
}
