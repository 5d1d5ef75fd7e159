package route

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/nats-io/nats.go"
)

// NATS says how to reach the message bus.
type NATS struct {
	// Servers are URLs such as nats://host:4222 or tls://host:4222; at least one.
	// Others of the cluster are found by themselves.
	Servers []string
	// User and the content of PasswordFile, without white space around it,
	// authenticate; both empty for none. The file is read again for every
	// connection.
	User, PasswordFile string
	// CAFile is a PEM file with the authorities of the servers' certificates; set,
	// it makes TLS a must. Empty means the system's authorities.
	CAFile string
	// CertFile and KeyFile are PEM files with our own certificate, for mutual TLS;
	// both or none. They are read again for every connection.
	CertFile, KeyFile string
	// PingInterval is how often a silent connection is checked; after two pings
	// without answer it counts as lost. 10 s when 0.
	PingInterval time.Duration
	// ReconnectWait is the pause between attempts at one server; 500 ms when 0.
	ReconnectWait time.Duration
}

const (
	defaultPingInterval  = 10 * time.Second
	defaultReconnectWait = 500 * time.Millisecond
	natsTimeout          = 5 * time.Second
)

// connectionEvents is what the emitter must know of its connection.
type connectionEvents struct {
	up, down, missed func()
	failed           func()
}

// options checks the settings, files included, and returns them in the form of
// the NATS client.
func (n NATS) options(logger lager.Logger, events connectionEvents) (nats.Options, error) {
	var errs []error
	if len(n.Servers) == 0 {
		errs = append(errs, errors.New("nats.servers: at least one is needed"))
	}
	for i, server := range n.Servers {
		if u, err := url.Parse(server); err != nil || u.Host == "" || u.User != nil || u.Scheme != "nats" && u.Scheme != "tls" {
			// The value is not shown: it may hold a password.
			errs = append(errs, fmt.Errorf("nats.servers[%d]: must be nats://host:port or tls://host:port, without user", i))
		}
	}
	if (n.CertFile == "") != (n.KeyFile == "") {
		errs = append(errs, errors.New("nats.certFile, nats.keyFile: one is set without the other"))
	}
	if n.PasswordFile != "" {
		if n.User == "" {
			errs = append(errs, errors.New("nats.user: is missing while nats.passwordFile is set"))
		}
		if _, err := n.password(); err != nil {
			errs = append(errs, err)
		}
	}
	result := nats.GetDefaultOptions()
	result.Servers = n.Servers
	for _, option := range n.natsOptions(logger, events) {
		if err := option(&result); err != nil {
			errs = append(errs, fmt.Errorf("nats: %w", err))
		}
	}
	return result, errors.Join(errs...)
}

func (n NATS) natsOptions(logger lager.Logger, events connectionEvents) []nats.Option {
	ping, wait := n.PingInterval, n.ReconnectWait
	if ping == 0 {
		ping = defaultPingInterval
	}
	if wait == 0 {
		wait = defaultReconnectWait
	}
	options := []nats.Option{
		nats.Name("irene route emitter"),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		// Certificates and passwords get rotated; a refusal must not be the end.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(wait), nats.ReconnectJitter(wait/2, wait/2),
		nats.PingInterval(ping), nats.MaxPingsOutstanding(2),
		nats.Timeout(natsTimeout), nats.FlusherTimeout(natsTimeout),
		// What can't be sent now is published from the table later, not from a buffer.
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
	if n.User != "" {
		options = append(options, nats.UserInfoHandler(func() (string, string) {
			password, err := n.password()
			if err != nil {
				logger.Error("read-password", err) // the server refuses; there will be another attempt
			}
			return n.User, password
		}))
	}
	if n.CAFile != "" {
		options = append(options, nats.RootCAs(n.CAFile))
	}
	if n.CertFile != "" && n.KeyFile != "" {
		options = append(options, nats.ClientCert(n.CertFile, n.KeyFile))
	}
	return options
}

func (n NATS) password() (string, error) {
	if n.PasswordFile == "" {
		return "", nil
	}
	content, err := os.ReadFile(n.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("nats.passwordFile: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}
