package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/reload"
)

// serverCertificates are a listener's TLS settings as the files say at the moment, looked
// up when a client connects. Without an authority clients need no certificate.
type serverCertificates struct {
	*reload.Value[*tls.Config]
	files TLS
}

// loadCertificates reads the files for the first time; all faults are reported
// together, each with its key. now is time.Now outside tests.
func loadCertificates(files TLS, logger lager.Logger, now func() time.Time) (*serverCertificates, error) {
	return loadCertificatesOf("listen", files, logger, now)
}

// loadCertificatesOf is loadCertificates for the listener that has its settings below a key.
func loadCertificatesOf(listener string, files TLS, logger lager.Logger, now func() time.Time) (*serverCertificates, error) {
	value, err := reload.Load(reload.Source[*tls.Config]{
		Read: func() ([][]byte, error) { return files.read(listener) },
		Make: func(content [][]byte) (*tls.Config, error) {
			return files.tlsConfig(listener, content[0], content[1], content[2])
		},
		Details: func(config *tls.Config) lager.Data {
			return lager.Data{"valid-until": config.Certificates[0].Leaf.NotAfter.UTC().Format(time.RFC3339)}
		},
		Kind:   "certificates",
		Logger: logger.Session("certificates"),
		Now:    now,
	})
	if err != nil {
		return nil, err
	}
	return &serverCertificates{Value: value, files: files}, nil
}

// tlsConfig is what a listener needs: it asks for the current settings at each
// handshake.
func (c *serverCertificates) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.Current(), nil
		},
	}
}

// read returns certificate, key and the clients' authority, nil for none.
func (t TLS) read(listener string) ([][]byte, error) {
	var wrong faults
	read := func(key, path string) []byte {
		content, err := os.ReadFile(path)
		if err != nil {
			wrong.add(key, "%v", err)
		}
		return content
	}
	content := [][]byte{
		read(listener+".tls.certificate_file", t.CertificateFile),
		read(listener+".tls.key_file", t.KeyFile),
		nil,
	}
	if t.ClientCAFile != "" {
		content[2] = read(listener+".tls.client_ca_file", t.ClientCAFile)
	}
	return content, wrong.err()
}

func (t TLS) tlsConfig(listener string, certificate, key, clientCA []byte) (*tls.Config, error) {
	pair, pairErr := tls.X509KeyPair(certificate, key)
	if pairErr != nil {
		pairErr = fmt.Errorf("  %s.tls: %s and %s: %w", listener, t.CertificateFile, t.KeyFile, pairErr)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"http/1.1"},
	}
	var authorityErr error
	if t.ClientCAFile != "" {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = x509.NewCertPool()
		// A resumed session would carry a client's identity past a change of the
		// authorities.
		config.SessionTicketsDisabled = true
		if !config.ClientCAs.AppendCertsFromPEM(clientCA) {
			authorityErr = fmt.Errorf("  %s.tls.client_ca_file: %s holds no certificate in PEM form", listener, t.ClientCAFile)
		}
	}
	if err := errors.Join(pairErr, authorityErr); err != nil {
		return nil, err
	}
	return config, nil
}
