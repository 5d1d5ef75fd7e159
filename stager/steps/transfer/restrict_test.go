package transfer

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

// A restricted client reaches no server that the rules refuse, neither with the client
// certificate nor without, also where it is redirected.
func TestRestrictedDownloads(t *testing.T) {
	g := NewWithT(t)
	platform := steptest.NewPlatform(t)
	var asked atomic.Int32
	count := func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); fmt.Fprint(w, "content") }
	plain, mutual := steptest.Serve(t, count), platform.Serve(t, tls.RequireAndVerifyClientCert, count)
	redirect := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL, http.StatusFound) })
	restricted := func(allowed ...string) *Client {
		rules, err := outbound.New(outbound.Options{Allowed: allowed})
		g.Expect(err).NotTo(HaveOccurred())
		c, err := NewClient(platform.Files(), rules.ForPlatform(), hasty(), steps.NewUserLog(io.Discard))
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(c.Close)
		return c
	}
	for _, address := range []string{plain.URL, mutual.URL} {
		_, err := download(t, restricted(), Download{URL: address, Trusted: true})
		g.Expect(err).To(MatchError(ContainSubstring("not allowed")), address)
	}
	_, err := download(t, restricted("http://"+redirect.Listener.Addr().String()), Download{URL: redirect.URL})
	g.Expect(err).To(MatchError(ContainSubstring("not allowed")))
	g.Expect(asked.Load()).To(BeZero())

	everywhere := restricted("http://127.0.0.0/8")
	for _, address := range []string{plain.URL, mutual.URL, redirect.URL} {
		g.Expect(download(t, everywhere, Download{URL: address, Trusted: true})).To(Equal("content"), address)
	}

	unrestricted := client(t, steps.TLSFiles{}, hasty())
	g.Expect(download(t, unrestricted, Download{URL: plain.URL})).To(Equal("content"))
}
