package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
)

func TestTheMetricsTellWhenCertificatesExpire(t *testing.T) {
	g := NewWithT(t)
	folder := newCertificateFolder(t)
	server, old := newAuthority(t, "server"), newAuthority(t, "old")
	certificate, key := server.sign("irene")
	folder.writePEM(certificate, key, append(old.pem, server.pem...))
	unreadable := filepath.Join(t.TempDir(), "ca.crt")
	g.Expect(os.WriteFile(unreadable, []byte("no certificate"), 0o600)).To(Succeed())
	config := DefaultConfiguration()
	config.Listen.TLS = folder.files()
	config.NATS.CAFile = unreadable
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCertificateExpiry(config))
	values := func() map[string]map[string]float64 {
		families, err := registry.Gather()
		g.Expect(err).NotTo(HaveOccurred())
		values := map[string]map[string]float64{}
		for _, family := range families {
			values[family.GetName()] = map[string]float64{}
			for _, metric := range family.GetMetric() {
				values[family.GetName()][metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
			}
		}
		return values
	}
	inAnHour := BeNumerically("~", time.Now().Add(time.Hour).Unix(), 60)
	g.Expect(values()["irene_certificate_expiry_timestamp_seconds"]).To(And(HaveLen(2),
		HaveKeyWithValue("listen.tls.certificate_file", inAnHour), HaveKeyWithValue("listen.tls.client_ca_file", inAnHour)))
	g.Expect(values()["irene_certificate_readable"]).To(Equal(map[string]float64{
		"listen.tls.certificate_file": 1, "listen.tls.client_ca_file": 1, "nats.ca_file": 0}))

	t.Log("renewed")
	g.Expect(os.WriteFile(unreadable, server.pem, 0o600)).To(Succeed())
	g.Expect(values()["irene_certificate_expiry_timestamp_seconds"]).To(HaveKeyWithValue("nats.ca_file", inAnHour))
}
