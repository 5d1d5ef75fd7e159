package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"
)

func TestFreeAddressPrefersTheLastOne(t *testing.T) {
	g := NewWithT(t)
	last, err := freeAddress("")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(freeAddress(last)).To(Equal(last))
	taken, err := net.Listen("tcp", last)
	g.Expect(err).NotTo(HaveOccurred())
	defer taken.Close()
	g.Expect(freeAddress(last)).NotTo(Equal(last))
}

func TestIreneIsWaitedForUntilItIsReady(t *testing.T) {
	g := NewWithT(t)
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			http.Error(w, "not ready: caches", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	p, _ := startShell(t, "exec sleep 1000")
	c := &cloud{folder: &folder{path: t.TempDir()}, state: state{Irene: p, Observe: server.Listener.Addr().String()}}
	g.Expect(c.awaitIrene(context.Background())).To(Succeed())
	g.Expect(asked).To(Equal(3))

	server.Close()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	g.Expect(c.awaitIrene(ended)).To(MatchError(context.Canceled))
	g.Expect(p.end(context.Background(), 0)).To(Succeed())
	g.Expect(c.awaitIrene(context.Background())).To(MatchError(ContainSubstring("irene has ended")))
}
