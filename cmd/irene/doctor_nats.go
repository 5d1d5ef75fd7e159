package main

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"

	routenats "github.com/irene-cf/irene/route/nats"
)

// examineNATS tries every server of the bus.
func examineNATS(ctx context.Context, e examination) []finding {
	const check = "nats"
	bus := e.config.NATS
	if len(bus.Servers) == 0 {
		return []finding{{Check: "nats.servers", Verdict: verdictWarning, Found: "empty: no routes are published, so no request reaches an app",
			Mend: "list the servers of the bus that the routers use"}}
	}
	var found []finding
	if bus.CAFile != "" {
		found = append(found, e.authorities("nats.ca_file", bus.CAFile))
	}
	if bus.CertificateFile != "" {
		found = append(found, e.certificate("nats.certificate_file", bus.CertificateFile, bus.KeyFile, x509.ExtKeyUsageClientAuth))
	}
	var servers []routenats.CheckedServer
	err := within(ctx, func() error {
		var err error
		servers, err = routenats.Check(natsSettings(e.config), e.config.Installation())
		return err
	})
	if err != nil {
		return append(found, failed(check, err, "correct what it names"))
	}
	for _, server := range servers {
		found = append(found, e.natsServer(server))
	}
	return found
}

func (e examination) natsServer(server routenats.CheckedServer) finding {
	check := "nats " + server.Server
	err := server.Err
	switch {
	case err == nil && server.Certificate != nil:
		result := e.dated(check, server.Certificate)
		result.Found = "connected; " + result.Found
		return result
	case err == nil:
		return fine(check, "connected")
	case errors.Is(err, nats.ErrAuthorization):
		return failed(check, err, "nats.user and the content of nats.password_file must be those of the server, or nats.certificate_file one that it knows")
	case errors.Is(err, nats.ErrPermissionViolation):
		return failed(check, err, "let the NATS user subscribe to it; it also needs to publish to router.* and service-discovery.*, and both on irene.emitter.*")
	case strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: "):
		return failed(check, err, "nats.ca_file must have the authority of the server's certificate, and the certificate the server's name")
	case errors.Is(err, nats.ErrSecureConnRequired):
		return failed(check, err, "the server wants TLS: write tls://, and set nats.ca_file")
	}
	return failed(check, err, "see that the server runs and can be reached from here; while no server can, routers learn of no change")
}
