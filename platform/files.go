package platform

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Files names the PEM files of a client's side of TLS.
type Files struct {
	// Authorities sign the certificates of servers. Without any, the machine's are trusted.
	Authorities []string
	// System adds the machine's authorities to those of Authorities.
	System bool
	// Certificate and Key are presented to servers that ask; both or neither.
	Certificate, Key string
}

// read returns the authorities' files, then certificate and key, if given.
func (f Files) read() ([][]byte, error) {
	if (f.Certificate == "") != (f.Key == "") {
		return nil, errors.New("the client certificate: a certificate file and a key file belong together")
	}
	var content [][]byte
	var errs []error
	read := func(what, file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
		content = append(content, text)
	}
	for _, file := range f.Authorities {
		read("certificate authorities", file)
	}
	if f.Certificate != "" {
		read("the client certificate", f.Certificate)
		read("the client certificate", f.Key)
	}
	return content, errors.Join(errs...)
}

// config makes the settings of what read returned.
func (f Files) config(content [][]byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(f.Authorities) > 0 {
		config.RootCAs = x509.NewCertPool()
		if f.System {
			// Without authorities of the machine, those of the files are left.
			if system, err := x509.SystemCertPool(); err == nil {
				config.RootCAs = system
			}
		}
	}
	for i, file := range f.Authorities {
		if !config.RootCAs.AppendCertsFromPEM(content[i]) {
			return nil, fmt.Errorf("certificate authorities: %s holds no certificate in PEM form", file)
		}
	}
	if f.Certificate != "" {
		pair := content[len(f.Authorities):]
		certificate, err := tls.X509KeyPair(pair[0], pair[1])
		if err != nil {
			return nil, fmt.Errorf("the client certificate: %s and %s: %w", f.Certificate, f.Key, err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}
