package nats

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/nats-io/nats.go"
)

// Settings configure the connection to the message bus.
type Settings struct {
	// Servers are URLs such as nats://host:4222 or tls://host:4222; at least one. The
	// client discovers the other servers of the cluster.
	Servers []string
	// User and the content of PasswordFile, without white space around it,
	// authenticate; both empty for none. The file is read again for every
	// connection.
	User, PasswordFile string
	// CAFile is a PEM file with the authorities of the servers' certificates; if set,
	// TLS is required. Empty means the system's authorities.
	CAFile string
	// ServerName is the name that the servers' certificates must have; if set, TLS is
	// required. Empty means the host in each server's URL.
	ServerName string
	// CertFile and KeyFile are PEM files with our own certificate, for mutual TLS;
	// both or none. They are read again for every connection.
	CertFile, KeyFile string
	// PingInterval is the interval between pings on a silent connection; after two
	// pings without an answer it counts as lost. 10 s if 0.
	PingInterval time.Duration
	// ReconnectWait is the pause between attempts at one server; 500 ms if 0.
	ReconnectWait time.Duration
}

const (
	defaultPingInterval  = 10 * time.Second
	defaultReconnectWait = 500 * time.Millisecond
	natsTimeout          = 5 * time.Second
)

// connectionEvents are called by the NATS client.
type connectionEvents struct {
	up, down, missed func()
	failed           func()
}

// options checks the settings, files included, and returns them in the form of
// the NATS client.
func (s Settings) options(logger lager.Logger, events connectionEvents) (nats.Options, error) {
	var errs []error
	if len(s.Servers) == 0 {
		errs = append(errs, errors.New("nats.servers: at least one is needed"))
	}
	for i, server := range s.Servers {
		if u, err := url.Parse(server); err != nil || u.Host == "" || u.User != nil || u.Scheme != "nats" && u.Scheme != "tls" {
			// The value is not shown: it may hold a password.
			errs = append(errs, fmt.Errorf("nats.servers[%d]: must be nats://host:port or tls://host:port, without user", i))
		}
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		errs = append(errs, errors.New("nats.certFile, nats.keyFile: one is set without the other"))
	}
	if s.PasswordFile != "" {
		if s.User == "" {
			errs = append(errs, errors.New("nats.user: is missing while nats.passwordFile is set"))
		}
		if _, err := s.password(); err != nil {
			errs = append(errs, err)
		}
	}
	result := nats.GetDefaultOptions()
	result.Servers = s.Servers
	for _, option := range s.natsOptions(logger, events) {
		if err := option(&result); err != nil {
			errs = append(errs, fmt.Errorf("nats: %w", err))
		}
	}
	return result, errors.Join(errs...)
}

func (s Settings) natsOptions(logger lager.Logger, events connectionEvents) []nats.Option {
	ping, wait := s.PingInterval, s.ReconnectWait
	if ping == 0 {
		ping = defaultPingInterval
	}
	if wait == 0 {
		wait = defaultReconnectWait
	}
	options := []nats.Option{
		nats.Name("irene route emitter"),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		// Certificates and passwords get rotated: go on after a refusal.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(wait), nats.ReconnectJitter(wait/2, wait/2),
		nats.PingInterval(ping), nats.MaxPingsOutstanding(2),
		nats.Timeout(natsTimeout), nats.FlusherTimeout(natsTimeout),
		// Nothing is buffered: the table is published again after a reconnect.
		nats.ReconnectBufSize(-1),
		nats.ConnectHandler(func(c *nats.Conn) {
			logger.Info("connected", lager.Data{"server": c.ConnectedAddr()})
			events.up()
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			logger.Info("reconnected", lager.Data{"server": c.ConnectedAddr()})
			events.up()
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			events.down()
			if err != nil {
				logger.Error("disconnected", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			logger.Debug("not-reached", lager.Data{"error": err.Error()})
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			events.failed()
			data := lager.Data{}
			if sub != nil {
				data["subject"] = sub.Subject
			}
			logger.Error("asynchronous-error", err, data)
			if errors.Is(err, nats.ErrSlowConsumer) {
				events.missed()
			}
		}),
	}
	if s.User != "" {
		options = append(options, nats.UserInfoHandler(func() (string, string) {
			password, err := s.password()
			if err != nil {
				logger.Error("read-password", err) // the server refuses; there will be another attempt
			}
			return s.User, password
		}))
	}
	if s.ServerName != "" {
		options = append(options, nats.Secure(&tls.Config{ServerName: s.ServerName, MinVersion: tls.VersionTLS12}))
	}
	if s.CAFile != "" {
		options = append(options, nats.RootCAs(s.CAFile))
	}
	if s.CertFile != "" && s.KeyFile != "" {
		options = append(options, nats.ClientCert(s.CertFile, s.KeyFile))
	}
	return options
}

func (s Settings) password() (string, error) {
	if s.PasswordFile == "" {
		return "", nil
	}
	content, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("nats.passwordFile: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}
