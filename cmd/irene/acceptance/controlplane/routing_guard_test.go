//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// guard looks at the routers' tables all the time and notes what was missing.
type guard struct {
	routers []*witness
	// addresses are what each URI must have, since is when that began.
	addresses map[string][]string
	since     []int
	end       context.CancelFunc
	watching  sync.WaitGroup

	mutex   sync.Mutex
	looks   int
	missing []string
}

// guard begins to watch over URIs; addresses are what each must have at every moment.
func (r *routing) guard(addresses map[string][]string) *guard {
	ctx, end := context.WithCancel(context.Background())
	g := &guard{routers: r.routers, addresses: addresses, since: r.now(), end: end}
	DeferCleanup(func() { g.stop() })
	g.watching.Go(func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			g.look()
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	})
	return g
}

func (g *guard) look() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.looks++
	for i, w := range g.routers {
		for uri, expected := range g.addresses {
			if found := w.addresses(uri); !slices.Equal(found, expected) {
				g.missing = append(g.missing, fmt.Sprintf("%s: router %d has %v of %s, not %v",
					time.Now().Format("05.000"), i, found, uri, expected))
			}
		}
	}
}

func (g *guard) stop() {
	g.end()
	g.watching.Wait()
}

// missedNothing ends the watch.
func (g *guard) missedNothing(what string) {
	GinkgoHelper()
	g.stop()
	AddReportEntry(fmt.Sprintf("%s: tables looked at %d times, %d times with something missing or too much", what, g.looks, len(g.missing)))
	if len(g.missing) > 0 {
		AddReportEntry("what may have taken it away", g.losses())
	}
	Expect(g.missing[:min(len(g.missing), 20)]).To(BeEmpty())
}

// losses are what may have taken away an endpoint that was looked for.
func (g *guard) losses() string {
	text := ""
	for i, w := range g.routers {
		text += fmt.Sprintf("router %d has pruned %d endpoints\n", i, w.Counts().Pruned)
		for uri, expected := range g.addresses {
			for _, m := range w.heard(g.since[i], concerns("", uri, "")) {
				if slices.Contains(expected, m.Registration.Address()) {
					text += fmt.Sprintf("%s %s %s\n", m.At.Format("05.000"), m.Subject, m.Data)
				}
			}
		}
	}
	return text
}
