package nats

import (
	"crypto/x509"
	"errors"
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	"github.com/nats-io/nats.go"
)

// CheckedServer is the result of checking one NATS server.
type CheckedServer struct {
	// Server is the URL from the settings.
	Server string
	// Certificate is the server's own, nil without TLS.
	Certificate *x509.Certificate
	// Err is why an Emitter can't use the server; nil if it can.
	Err error
}

// Check connects to each server by itself, as an [Emitter] would, and subscribes to
// the same subjects. It publishes nothing, so it does not find out whether that is
// allowed. The error is about the settings.
func Check(settings Settings, installation string) ([]CheckedServer, error) {
	ignore := func() {}
	options, err := settings.options(lager.NewLogger("check"), connectionEvents{up: ignore, down: ignore, missed: ignore, failed: ignore})
	if err != nil {
		return nil, err
	}
	// Try once, and return the error.
	options.Name = "irene doctor"
	options.RetryOnFailedConnect, options.AllowReconnect = false, false
	subjects := []string{startSubject, announcementSubject(installation), unregisterSubject, discoveryUnregisterSubject}
	checked := make([]CheckedServer, 0, len(settings.Servers))
	for _, server := range settings.Servers {
		one := options
		one.Servers = []string{server}
		result := CheckedServer{Server: server}
		result.Certificate, result.Err = tryServer(one, subjects)
		checked = append(checked, result)
	}
	return checked, nil
}

func tryServer(options nats.Options, subjects []string) (*x509.Certificate, error) {
	connection, err := options.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer connection.Close()
	var certificate *x509.Certificate
	if state, err := connection.TLSConnectionState(); err == nil && len(state.PeerCertificates) > 0 {
		certificate = state.PeerCertificates[0]
	}
	var errs []error
	for _, subject := range subjects {
		before := connection.LastError()
		_, err := connection.Subscribe(subject, func(*nats.Msg) {})
		if err == nil {
			// A refusal comes before the answer to this.
			err = connection.FlushTimeout(natsTimeout)
		}
		if refusal := connection.LastError(); err == nil && !errors.Is(refusal, before) {
			err = refusal
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("subscribe to %s: %w", subject, err))
		}
	}
	return certificate, errors.Join(errs...)
}
