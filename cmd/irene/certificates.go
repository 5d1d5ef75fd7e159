package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
)

// certificateCheckInterval is how often, at most, the files are looked at.
const certificateCheckInterval = time.Second

// certificates holds a listener's TLS settings as the files say at the moment. The
// files are compared by content when a client connects, so it makes no difference
// how they are replaced (Kubernetes swaps a symbolic link for a Secret's files).
//
// Certificate, key and authority count together: as long as one of them can't be
// used, all of the last good ones stay. Without an authority clients need no
// certificate.
type certificates struct {
	files  TLS
	logger lager.Logger
	now    func() time.Time

	mu      sync.Mutex
	checked time.Time
	content certificateContent
	config  *tls.Config
	// fault is the last thing that was wrong, kept so that it is logged once.
	fault string
}

// certificateContent is what the files hold.
type certificateContent struct{ certificate, key, clientCA []byte }

// loadCertificates reads the files for the first time; all faults are reported
// together, each with its key. now is time.Now outside tests.
func loadCertificates(files TLS, logger lager.Logger, now func() time.Time) (*certificates, error) {
	content, err := readCertificateFiles(files)
	if err != nil {
		return nil, err
	}
	config, err := content.tlsConfig(files)
	if err != nil {
		return nil, err
	}
	return &certificates{
		files:   files,
		logger:  logger.Session("certificates"),
		now:     now,
		checked: now(),
		content: content,
		config:  config,
	}, nil
}

// tlsConfig is what a listener needs: it asks for the current settings at each
// handshake.
func (c *certificates) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.current(), nil
		},
	}
}

func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Sub(c.checked) >= certificateCheckInterval {
		c.checked = c.now()
		c.refresh()
	}
	return c.config
}

// refresh takes changed files into use, or keeps what is there and says why.
func (c *certificates) refresh() {
	content, err := readCertificateFiles(c.files)
	if err == nil && content.equal(c.content) {
		c.fault = ""
		return
	}
	var config *tls.Config
	if err == nil {
		config, err = content.tlsConfig(c.files)
	}
	if err != nil {
		if c.fault != err.Error() {
			c.fault = err.Error()
			c.logger.Error("reload-failed", err, lager.Data{"consequence": "the certificates read before stay in use"})
		}
		return
	}
	c.content, c.config, c.fault = content, config, ""
	c.logger.Info("reloaded", lager.Data{"valid-until": config.Certificates[0].Leaf.NotAfter.UTC().Format(time.RFC3339)})
}

func readCertificateFiles(files TLS) (certificateContent, error) {
	var wrong faults
	read := func(key, path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			wrong.add(key, "%v", err)
		}
		return content
	}
	content := certificateContent{
		certificate: read("listen.tls.certificate_file", files.CertificateFile),
		key:         read("listen.tls.key_file", files.KeyFile),
	}
	if files.ClientCAFile != "" {
		content.clientCA = read("listen.tls.client_ca_file", files.ClientCAFile)
	}
	return content, wrong.err()
}

func (c certificateContent) equal(other certificateContent) bool {
	return bytes.Equal(c.certificate, other.certificate) &&
		bytes.Equal(c.key, other.key) &&
		bytes.Equal(c.clientCA, other.clientCA)
}

func (c certificateContent) tlsConfig(files TLS) (*tls.Config, error) {
	pair, pairErr := tls.X509KeyPair(c.certificate, c.key)
	if pairErr != nil {
		pairErr = fmt.Errorf("  listen.tls: %s and %s: %w", files.CertificateFile, files.KeyFile, pairErr)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"http/1.1"},
	}
	var authorityErr error
	if files.ClientCAFile != "" {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = x509.NewCertPool()
		// A resumed session would carry a client's identity past a change of the
		// authorities.
		config.SessionTicketsDisabled = true
		if !config.ClientCAs.AppendCertsFromPEM(c.clientCA) {
			authorityErr = fmt.Errorf("  listen.tls.client_ca_file: %s holds no certificate in PEM form", files.ClientCAFile)
		}
	}
	if err := errors.Join(pairErr, authorityErr); err != nil {
		return nil, err
	}
	return config, nil
}
