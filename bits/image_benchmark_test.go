package bits

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
)

// What a registry in this process costs is in these figures: its share is most of
// what is left beside compression.

// BenchmarkDropletToImage is a build's push and the first assembly after it.
func BenchmarkDropletToImage(b *testing.B) {
	for _, size := range []int{1 << 20, 50 << 20} {
		b.Run(fmt.Sprintf("%dMiB", size>>20), func(b *testing.B) {
			c := newCloud(b)
			b.SetBytes(int64(size))
			i := 0
			for b.Loop() {
				b.StopTimer()
				i++
				d := dropletOf(b, fmt.Sprint("droplet-", i), size)
				c.hub.forget()
				b.StartTimer()
				if _, err := c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{Conversion: promised(d)}); err != nil {
					b.Fatal(err)
				}
				if _, err := c.assemble(d); err != nil {
					b.Fatal(err)
				}
			}
			received, _ := c.hub.bytes()
			b.ReportMetric(float64(received), "sent-B/op")
			b.ReportMetric(float64(len(c.hub.seen())), "requests/op")
		})
	}
}

// BenchmarkAssemble is the assembly of a droplet that is in the registry.
func BenchmarkAssemble(b *testing.B) {
	for name, noMounts := range map[string]bool{"mounts": false, "copies": true} {
		b.Run(name, func(b *testing.B) {
			c := newCloud(b)
			c.hub.set(func() { c.hub.noMounts = noMounts })
			d := dropletOf(b, "d", 10<<20)
			c.push(d, "")
			i := 0
			for b.Loop() {
				i++
				d.GUID = fmt.Sprint("droplet-", i)
				c.hub.forget()
				if _, err := c.assemble(d); err != nil {
					b.Fatal(err)
				}
			}
			received, sent := c.hub.bytes()
			b.ReportMetric(float64(received), "sent-B/op")
			b.ReportMetric(float64(sent), "received-B/op")
			b.ReportMetric(float64(len(c.hub.seen())), "requests/op")
		})
	}
}

// BenchmarkAssembleInParallel is many apps that start on a new stack.
func BenchmarkAssembleInParallel(b *testing.B) {
	c := newCloud(b)
	d := dropletOf(b, "d", 1<<20)
	c.push(d, "")
	var i atomic.Int64
	b.SetParallelism(25)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d := d
			d.GUID = fmt.Sprint("droplet-", i.Add(1))
			if _, err := c.assemble(d); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkKnownImage is a repeated desire.
func BenchmarkKnownImage(b *testing.B) {
	c := newCloud(b)
	d := dropletOf(b, "d", 1000)
	if _, err := c.registry.PushDroplet(context.Background(), bytes.NewReader(d.content), DropletPush{}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.assemble(d); err != nil {
			b.Fatal(err)
		}
	}
}
