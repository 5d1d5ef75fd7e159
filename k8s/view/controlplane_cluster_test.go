//go:build controlplane

package view_test

import (
	"context"
	"net/url"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/devcluster"
	"github.com/irene-cf/irene/fixtures/loopback"
)

// cluster is a control plane with a fake node that is stopped and started again.
type cluster struct {
	*controlplane.Cluster
	dir string
}

// start brings the control plane up, on the port and with the data that it had
// before if it ran before.
func (c *cluster) start() {
	GinkgoHelper()
	var err error
	c.Cluster, err = controlplane.Start(context.Background(), devcluster.Options{Dir: c.dir, FakeNodes: 1}, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
}

func (c *cluster) stop() {
	GinkgoHelper()
	Expect(c.Stop()).To(Succeed())
}

// behindGate returns a gate to the server of config, and the config that goes through it.
func behindGate(config *rest.Config) (*loopback.Gate, *rest.Config) {
	GinkgoHelper()
	server, err := url.Parse(config.Host)
	Expect(err).NotTo(HaveOccurred())
	gate, err := loopback.StartGate(config.Host)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(gate.Stop)
	through := rest.CopyConfig(config)
	through.Host, through.ServerName = gate.URL(), server.Hostname()
	return gate, through
}
