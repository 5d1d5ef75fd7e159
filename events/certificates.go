package events

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/certificates"
)

type certificateFiles struct{ authorities, certificate, key string }

// transports has the connections that were made with what the files say at the moment.
// Changed files get connections of their own; the old ones end with the requests on
// them.
type transports = certificates.Kept[*http.Transport]

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

func newTransports(files certificateFiles, dial dialFunc, logger lager.Logger, now func() time.Time) (*transports, error) {
	if (files.certificate == "") != (files.key == "") {
		return nil, errors.New("certificate and key must be given together")
	}
	return certificates.Load(certificates.Source[*http.Transport]{
		Read: files.read,
		Make: func(content [][]byte) (*http.Transport, error) {
			config, err := files.tlsConfig(content[0], content[1], content[2])
			if err != nil {
				return nil, err
			}
			return newTransport(config, dial), nil
		},
		Retire: (*http.Transport).CloseIdleConnections,
		Logger: logger.Session("certificates"),
		Now:    now,
	})
}

// read returns authorities, certificate and key; nil for those that are not given.
func (f certificateFiles) read() ([][]byte, error) {
	var content [][]byte
	var errs []error
	for _, path := range []string{f.authorities, f.certificate, f.key} {
		var text []byte
		if path != "" {
			var err error
			text, err = os.ReadFile(path)
			errs = append(errs, err)
		}
		content = append(content, text)
	}
	return content, errors.Join(errs...)
}

func (f certificateFiles) tlsConfig(authorities, certificate, key []byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.authorities != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", f.authorities)
		}
	}
	if f.certificate != "" {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", f.certificate, f.key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
