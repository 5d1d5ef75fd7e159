package events

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
)

// certificateCheckInterval is how often, at most, the files are looked at.
const certificateCheckInterval = time.Second

type certificateFiles struct{ authorities, certificate, key string }

type certificateContent struct{ authorities, certificate, key []byte }

// transports has the connections that were made with what the files say at the moment.
// The files are compared by content before a request. Changed ones get connections of
// their own; the old ones end with the requests on them.
//
// The files count together: as long as one of them can't be used, all of the last good
// ones stay.
type transports struct {
	files  certificateFiles
	logger lager.Logger
	now    func() time.Time

	mutex     sync.Mutex
	checked   time.Time
	content   certificateContent
	transport *http.Transport
	// fault is the last thing that was wrong, kept so that it is logged once.
	fault string
}

func newTransports(files certificateFiles, logger lager.Logger, now func() time.Time) (*transports, error) {
	if (files.certificate == "") != (files.key == "") {
		return nil, errors.New("certificate and key must be given together")
	}
	content, err := files.read()
	if err != nil {
		return nil, err
	}
	config, err := content.tlsConfig(files)
	if err != nil {
		return nil, err
	}
	return &transports{files: files, logger: logger, now: now, checked: now(), content: content, transport: newTransport(config)}, nil
}

func (t *transports) current() *http.Transport {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.files != (certificateFiles{}) && t.now().Sub(t.checked) >= certificateCheckInterval {
		t.checked = t.now()
		t.refresh()
	}
	return t.transport
}

func (t *transports) close() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.transport.CloseIdleConnections()
}

// refresh takes changed files into use, or keeps what is there and says why.
func (t *transports) refresh() {
	content, err := t.files.read()
	if err == nil && content.equal(t.content) {
		t.fault = ""
		return
	}
	var config *tls.Config
	if err == nil {
		config, err = content.tlsConfig(t.files)
	}
	if err != nil {
		if t.fault != err.Error() {
			t.fault = err.Error()
			t.logger.Error("certificates-not-reloaded", err, lager.Data{"consequence": "the certificates read before stay in use"})
		}
		return
	}
	t.transport.CloseIdleConnections()
	t.content, t.transport, t.fault = content, newTransport(config), ""
	t.logger.Info("certificates-reloaded")
}

func (f certificateFiles) read() (certificateContent, error) {
	var errs []error
	read := func(path string) []byte {
		if path == "" {
			return nil
		}
		text, err := os.ReadFile(path)
		errs = append(errs, err)
		return text
	}
	content := certificateContent{authorities: read(f.authorities), certificate: read(f.certificate), key: read(f.key)}
	return content, errors.Join(errs...)
}

func (c certificateContent) equal(other certificateContent) bool {
	return bytes.Equal(c.authorities, other.authorities) &&
		bytes.Equal(c.certificate, other.certificate) &&
		bytes.Equal(c.key, other.key)
}

func (c certificateContent) tlsConfig(files certificateFiles) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if files.authorities != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(c.authorities) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", files.authorities)
		}
	}
	if files.certificate != "" {
		pair, err := tls.X509KeyPair(c.certificate, c.key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", files.certificate, files.key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
