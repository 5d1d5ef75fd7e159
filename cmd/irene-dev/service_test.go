package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
)

func TestFreeAddressPrefersTheLastOne(t *testing.T) {
	g := NewWithT(t)
	last, err := freeAddress("127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(freeAddress(last)).To(Equal(last))
	taken, err := net.Listen("tcp", last)
	g.Expect(err).NotTo(HaveOccurred())
	defer taken.Close()
	address := last
	g.Expect(chooseAddress(&address, last)).To(Succeed())
	g.Expect(address).NotTo(Equal(last))
}

func TestServiceIsWaitedForUntilItIsReady(t *testing.T) {
	g := NewWithT(t)
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			http.Error(w, "not ready: caches", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	p, _ := startShell(t, "exec sleep 1000")
	c := &cloud{folder: &folder{path: t.TempDir()}}
	s := service{name: "irene", process: &p, readyURL: server.URL}
	g.Expect(c.awaitReady(context.Background(), s)).To(Succeed())
	g.Expect(asked).To(Equal(3))

	server.Close()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	g.Expect(c.awaitReady(ended, s)).To(MatchError(context.Canceled))
	g.Expect(p.end(context.Background(), 0)).To(Succeed())
	g.Expect(c.awaitReady(context.Background(), s)).To(MatchError(ContainSubstring("irene has ended")))
}

func TestServiceIsKept(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(nil)
	server.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	defer server.Close()
	sleep, err := os.ReadFile("/bin/sleep")
	g.Expect(err).NotTo(HaveOccurred())
	c := &cloud{folder: &folder{path: t.TempDir()}}
	program := filepath.Join(t.TempDir(), "program")
	build := func() {
		g.Expect(os.WriteFile(program+".new", sleep, 0o755)).To(Succeed())
		g.Expect(os.Rename(program+".new", program)).To(Succeed())
	}
	build()
	present, wanted := "", "one"
	s := service{
		name: "program", process: &c.state.Edge, program: program, args: []string{"1000"}, readyURL: server.URL, stop: patience,
		configured: func() (bool, error) { return present == wanted, nil },
		configure:  func() error { present = wanted; return nil },
	}
	keep := func(note string) process {
		t.Helper()
		before := c.state.Edge
		t.Cleanup(func() { _ = c.state.Edge.end(context.Background(), 0) })
		g.Expect(c.keep(context.Background(), s)).To(HavePrefix(note))
		g.Expect(c.loadState()).To(HaveField("Edge", c.state.Edge))
		if before != c.state.Edge {
			g.Expect(before.alive()).To(BeFalse())
			_, _ = syscall.Wait4(before.PID, nil, 0, nil)
		}
		return c.state.Edge
	}
	first := keep("started")
	g.Expect(keep("runs already")).To(Equal(first))
	wanted = "two"
	second := keep("started again")
	g.Expect(second).NotTo(Equal(first))
	g.Expect(present).To(Equal("two"))
	build()
	third := keep("started again")
	g.Expect(third).NotTo(Equal(second))
	g.Expect(third.end(context.Background(), 0)).To(Succeed())
	g.Expect(keep("started")).NotTo(Equal(third))

	broken := errors.New("broken")
	s.configured = func() (bool, error) { return false, broken }
	_, err = c.keep(context.Background(), s)
	g.Expect(err).To(MatchError(broken))
}
