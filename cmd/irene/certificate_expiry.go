package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificateExpiry is a metric of when the configured certificates expire. The files
// are read at each scrape, so it tells of renewed ones before anybody connects with
// them, and of ones that were not renewed in time.
type certificateExpiry struct {
	// leaves and authorities are paths by configuration key. What counts of a file of
	// authorities is the one that lasts longest: those before it are on their way out.
	leaves, authorities map[string]string
	expiry, readable    *prometheus.Desc
}

// newCertificateExpiry watches all certificates that the configuration names.
func newCertificateExpiry(c Configuration) *certificateExpiry {
	leaves, authorities := c.certificateFiles()
	return &certificateExpiry{
		leaves:      leaves,
		authorities: authorities,
		expiry: prometheus.NewDesc("irene_certificate_expiry_timestamp_seconds",
			"When a configured certificate expires, in seconds since 1970; of a file of authorities, the last of them.", []string{"key"}, nil),
		readable: prometheus.NewDesc("irene_certificate_readable",
			"1 where a configured certificate file can be read and holds a certificate, else 0.", []string{"key"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *certificateExpiry) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- c.expiry
	descriptions <- c.readable
}

// Collect implements prometheus.Collector.
func (c *certificateExpiry) Collect(metrics chan<- prometheus.Metric) {
	tell := func(files map[string]string, counts func([]*x509.Certificate) time.Time) {
		for key, path := range files {
			certificates, err := readCertificates(path)
			if err != nil {
				// Why is told by whoever reloads it.
				metrics <- prometheus.MustNewConstMetric(c.readable, prometheus.GaugeValue, 0, key)
				continue
			}
			metrics <- prometheus.MustNewConstMetric(c.readable, prometheus.GaugeValue, 1, key)
			metrics <- prometheus.MustNewConstMetric(c.expiry, prometheus.GaugeValue, float64(counts(certificates).Unix()), key)
		}
	}
	tell(c.leaves, func(chain []*x509.Certificate) time.Time { return chain[0].NotAfter })
	tell(c.authorities, func(all []*x509.Certificate) (last time.Time) {
		for _, authority := range all {
			if authority.NotAfter.After(last) {
				last = authority.NotAfter
			}
		}
		return last
	})
}

// readCertificates is all certificates of a PEM file, in order.
func readCertificates(path string) (all []*x509.Certificate, err error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate in PEM form")
	}
	return all, nil
}
