//go:build controlplane

package view_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/irene-cf/irene/fixtures/devcluster"
)

// cluster is a control plane with a fake node.
type cluster struct {
	dir     string
	running *devcluster.Cluster
	config  *rest.Config
}

// start brings the control plane up, on the port and with the data that it had
// before if it ran before.
func (c *cluster) start() {
	GinkgoHelper()
	var err error
	c.running, err = devcluster.Start(context.Background(), devcluster.Options{Dir: c.dir, FakeNodes: 1}, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	c.config, err = c.running.RESTConfig()
	Expect(err).NotTo(HaveOccurred())
	c.config.QPS = -1
}

func (c *cluster) stop() {
	GinkgoHelper()
	Expect(c.running.Stop()).To(Succeed())
}

// wire is a TCP proxy that can drop the connections through it.
type wire struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	open     map[net.Conn]struct{}
}

// wireTo makes a proxy to the server of config and the config that goes through it.
func wireTo(config *rest.Config) (*wire, *rest.Config) {
	GinkgoHelper()
	server, err := url.Parse(config.Host)
	Expect(err).NotTo(HaveOccurred())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	w := &wire{listener: listener, target: server.Host, open: map[net.Conn]struct{}{}}
	go w.serve()
	DeferCleanup(func() {
		Expect(listener.Close()).To(Succeed())
		w.cut()
	})
	through := rest.CopyConfig(config)
	through.Host = "https://" + listener.Addr().String()
	through.ServerName = server.Hostname()
	return w, through
}

func (w *wire) serve() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		go w.carry(client)
	}
}

func (w *wire) carry(client net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", w.target)
	if err != nil {
		_ = client.Close()
		return
	}
	w.mu.Lock()
	w.open[client], w.open[server] = struct{}{}, struct{}{}
	w.mu.Unlock()
	go w.copy(client, server)
	w.copy(server, client)
}

func (w *wire) copy(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, from)
}

// cut closes every connection; new ones are carried again.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for connection := range w.open {
		_ = connection.Close()
	}
}
