package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/platform"
)

// The platform's own registry is an exception from the rules, under both addresses.
func TestTheOwnRegistryMayHaveAnyAddress(t *testing.T) {
	g := NewWithT(t)
	listen := func() string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { _ = listener.Close() })
		return listener.Addr().String()
	}
	address, pullAddress, other := listen(), listen(), listen()
	config := DefaultConfiguration()
	config.Registry.Address, config.Registry.PullAddress = address, pullAddress
	rules, err := outboundRules(config)
	g.Expect(err).NotTo(HaveOccurred())
	dial := func(to string) error {
		connection, err := rules.DialContext(t.Context(), "tcp", to)
		if err == nil {
			err = connection.Close()
		}
		return err
	}
	g.Expect(dial(address)).To(Succeed())
	g.Expect(dial(pullAddress)).To(Succeed())
	refused, ok := errors.AsType[*outbound.RefusedError](dial(other))
	g.Expect(ok).To(BeTrue())
	g.Expect(refused.Host).To(Equal(other))

	g.Expect(rules.PlainHTTP(pullAddress)).To(BeTrue(), "on loopback")
	config.Registry.Address = "registry.example:5000"
	rules, err = outboundRules(config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rules.PlainHTTP("registry.example:5000")).To(BeFalse())
	config.Registry.PlainHTTP = true
	rules, err = outboundRules(config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rules.PlainHTTP("registry.example:5000")).To(BeTrue())
}

// A callback to this machine reaches nothing, unless it is Cloud Controller's own address.
func TestCallbacksAreRestricted(t *testing.T) {
	g := NewWithT(t)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(server.Close)
	post := func(cloudController string) error {
		config := DefaultConfiguration()
		config.CloudController.URL = cloudController
		registry := prometheus.NewRegistry()
		client, err := newCloudController(config, platform.NewMetrics(registry), lager.NewLogger("test"), registry)
		g.Expect(err).NotTo(HaveOccurred())
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = client.Post(ctx, "build_completed", server.URL+"/callback", []byte("{}"))
		return err
	}
	g.Expect(post("https://cloud-controller.example:9023")).To(MatchError(ContainSubstring("not allowed")))
	g.Expect(asked.Load()).To(BeZero())
	g.Expect(post(server.URL)).To(Succeed())
	g.Expect(asked.Load()).To(BeEquivalentTo(1))
}
