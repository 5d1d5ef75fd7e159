package registry

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
)

// expectStalledCutOff sends the beginning of a request with a body of 1000 bytes and expects the
// connection's end.
func (s *served) expectStalledCutOff(method, path, password string) {
	s.t.Helper()
	g := NewWithT(s.t)
	connection, err := net.Dial("tcp", s.host())
	g.Expect(err).NotTo(HaveOccurred())
	defer connection.Close()
	request, err := http.NewRequest(method, s.resolve(path), nil)
	g.Expect(err).NotTo(HaveOccurred())
	request.SetBasicAuth(pushUser, password)
	_, err = fmt.Fprintf(connection, "%s %s HTTP/1.1\r\nHost: registry\r\nAuthorization: %s\r\nContent-Length: 1000\r\n\r\nhello",
		method, request.URL.RequestURI(), request.Header.Get("Authorization"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(connection.SetReadDeadline(time.Now().Add(10 * time.Second))).To(Succeed())
	_, err = io.ReadAll(connection)
	g.Expect(err).NotTo(HaveOccurred(), "the server closes the connection")
}

func TestStalledRequestsAreCutOff(t *testing.T) {
	s := serve(t, t.TempDir())
	location := s.startUpload("cloudfoundry/app")
	s.stall = 100 * time.Millisecond
	s.expectStalledCutOff(http.MethodPatch, location, pushPassword)
	g := NewWithT(t)
	g.Eventually(s.metric).WithArguments("irene_registry_requests_total", "code=499", "method=PATCH", "route=blob-upload-chunk").Should(BeEquivalentTo(1))
	g.Eventually(s.metric).WithArguments("irene_registry_received_bytes_total").Should(BeEquivalentTo(5))
	s.expectStalledCutOff(http.MethodPatch, location, "wrong")
	s.expectStalledCutOff(http.MethodPut, "/v2/cloudfoundry/app/manifests/one", pushPassword)
}

func TestRunCollectsAtItsTimes(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir(), func(o *Options) { o.CollectEvery = 24 * time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	s.push("cloudfoundry/app", "one", randomImage(t, 1))
	s.startUpload("cloudfoundry/app")
	go func() { ended <- s.Run(ctx) }()
	runs := func() float64 { return s.metric("irene_registry_gc_runs_total", "outcome=ok") }
	uploads := func() float64 { return s.metric("irene_registry_gc_removed_total", "kind=upload") }
	g.Eventually(func() float64 { return s.metric("irene_registry_storage_bytes") }).Should(BeNumerically(">", 1024))
	g.Eventually(s.clock.HasWaiters).Should(BeTrue())
	g.Expect(runs()).To(BeZero())
	s.clock.Step(collectAfterStart)
	g.Eventually(runs).Should(BeEquivalentTo(1))
	s.clock.Step(23 * time.Hour)
	g.Eventually(uploads).Should(BeEquivalentTo(1))
	g.Expect(runs()).To(BeEquivalentTo(1))
	s.clock.Step(time.Hour)
	g.Eventually(runs).Should(BeEquivalentTo(2))

	s.free.Store(0)
	s.clock.Step(collectLowEvery)
	g.Eventually(s.log).Should(gbytes.Say("low-space"))
	g.Eventually(runs).Should(BeEquivalentTo(3))
	s.free.Store(1 << 40)
	s.clock.Step(spaceCheckEvery)
	g.Eventually(s.log).Should(gbytes.Say("enough-space"))
	g.Expect(runs()).To(BeEquivalentTo(3))
	cancel()
	g.Eventually(ended).Should(Receive(MatchError(context.Canceled)))
}
