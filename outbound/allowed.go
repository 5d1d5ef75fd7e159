package outbound

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// allowed is one entry of Options.Allowed: a network or a host.
type allowed struct {
	network netip.Prefix // invalid for a host
	host    string
	port    string // empty for all ports
	// plain allows HTTP without TLS.
	plain bool
}

var errNotAllowable = errors.New("must be a network (10.8.0.0/16) or a host with or without a port (registry.example:5000), with http:// before it to allow HTTP without TLS")

// CheckAllowed returns an error if text can't be an entry of Options.Allowed.
func CheckAllowed(text string) error {
	_, err := parseAllowed(text)
	return err
}

// CheckDenied returns an error if text can't be an entry of Options.Denied.
func CheckDenied(text string) error {
	if _, err := netip.ParsePrefix(text); err != nil {
		return errors.New("must be a network like 198.51.100.0/24")
	}
	return nil
}

func parseAllowed(text string) (allowed, error) {
	rest, plain := strings.CutPrefix(text, "http://")
	if strings.Contains(rest, "/") {
		network, err := netip.ParsePrefix(rest)
		if err != nil {
			return allowed{}, errNotAllowable
		}
		return allowed{network: network.Masked(), plain: plain}, nil
	}
	host, port := splitHost(rest)
	if host == "" || strings.ContainsAny(host, " \t@?#*[]") || strings.Contains(host, ":") && !isAddress(host) {
		return allowed{}, errNotAllowable
	}
	return allowed{host: host, port: port, plain: plain}, nil
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// splitHost splits host[:port] and returns the host in the form in which hosts are compared.
func splitHost(text string) (host, port string) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), ""
	}
	return strings.TrimSuffix(strings.ToLower(host), "."), port
}

func (a allowed) matches(host, port string) bool {
	return a.host != "" && a.host == host && (a.port == "" || a.port == port)
}

func (a allowed) contains(address netip.Addr) bool {
	return a.network.IsValid() && a.network.Contains(address)
}

// RefusedError reports a connection that the rules do not allow.
type RefusedError struct {
	// Host is the host[:port] that was asked for.
	Host string
	// Address is the address that is refused; not valid if the scheme is.
	Address netip.Addr
	// Redirect reports that the host was reached by a redirect from https.
	Redirect bool
}

// Error describes the refusal to operators.
func (e *RefusedError) Error() string {
	switch {
	case e.Address.IsValid():
		return fmt.Sprintf("connections to %s are not allowed: it has the address %s, which neither is public nor listed in outbound.allowed", e.Host, e.Address)
	case e.Redirect:
		return fmt.Sprintf("a redirect from https to http://%s is not followed", e.Host)
	}
	return fmt.Sprintf("plain HTTP to %s is not allowed: outbound.allowed does not list it as http://", e.Host)
}

// NoTLS reports whether the reason is that TLS would not be used.
func (e *RefusedError) NoTLS() bool { return !e.Address.IsValid() }

// Temporary returns false: the same connection would be refused again.
func (e *RefusedError) Temporary() bool { return false }
