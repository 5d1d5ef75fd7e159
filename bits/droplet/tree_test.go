package droplet

import (
	"archive/tar"
	"fmt"
	"runtime"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// A droplet may have many files with long names, and conversions run side by side.
func TestNamesTakeLittleMemory(t *testing.T) {
	g := NewWithT(t)
	const entries, perEntry = 100_000, 50
	live := func() int64 {
		// What other tests left in pools goes with the second collection.
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	before := live()
	names := newTree(entries)
	for i := range entries {
		g.Expect(names.add(fmt.Sprint(i, strings.Repeat("/node_modules", 10)), node{kind: tar.TypeReg})).To(Succeed())
	}
	g.Expect(live() - before).To(BeNumerically("<", entries*perEntry))
	runtime.KeepAlive(names)
}
