package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

func TestBBSDoorIsOffByDefault(t *testing.T) {
	g := NewWithT(t)
	logger, _ := newLog(t)
	doors, err := listenBBS(DefaultConfiguration().BBS, door{}, nil, logger)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(doors).To(BeEmpty())
}

func TestBBSDoorHasItsOwnListener(t *testing.T) {
	g := NewWithT(t)
	logger, _ := newLog(t)
	ours, folder := newAuthority(t, "ours"), newCertificateFolder(t)
	folder.write(ours, ours)
	config := DefaultConfiguration().BBS
	config.Listen.Address, config.Listen.TLS = "127.0.0.1:0", folder.files("cloud_controller")
	handler := bbs.NewHandler(bbs.Options{Refusals: opi.NewRefusals(), Logger: logger})
	doors, err := listenBBS(config, door{Handler: handler, fault: bbs.WriteFault, listen: bbsListener}, newRequestMetrics(newMetricsRegistry()), logger)
	g.Expect(err).NotTo(HaveOccurred())
	startWith(t, hello, nil, nil, doors)

	ping := func(certificates []tls.Certificate) (int, string) {
		c := client(ours, certificates)
		response, err := c.Post("https://"+doors[0].listener.Addr().String()+"/v1/ping", "application/x-protobuf", bytes.NewReader(nil))
		g.Expect(err).NotTo(HaveOccurred())
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		g.Expect(err).NotTo(HaveOccurred())
		return response.StatusCode, string(body)
	}
	status, body := ping(ours.client("cloud_controller"))
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(body).To(Equal("\x08\x01"))
	status, body = ping(ours.client("diego"))
	g.Expect(status).To(Equal(http.StatusForbidden))
	g.Expect(body).To(ContainSubstring("bbs.listen.tls.client_names"))
}

func TestBBSConfiguration(t *testing.T) {
	g := NewWithT(t)
	config := DefaultConfiguration()
	config.BBS.Listen.Address = config.Listen.Address
	config.BBS.Listen.IdleTimeout = Duration{Duration: time.Second}
	g.Expect(config.Validate()).To(MatchError(And(
		ContainSubstring("bbs.listen.address: must differ from listen.address"),
		ContainSubstring("bbs.listen.tls.certificate_file: is required"),
		ContainSubstring("bbs.listen.tls.client_names: is required"),
		ContainSubstring("bbs.listen.idle_timeout: 1s is too short"),
	)))
}
