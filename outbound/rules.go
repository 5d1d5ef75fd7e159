package outbound

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"golang.org/x/net/http/httpproxy"
)

const dialTimeout = 10 * time.Second

// Options say what is allowed beyond connections to public addresses.
type Options struct {
	// Allowed lists networks ("10.8.0.0/16") and hosts, with or without a port
	// ("registry.example:5000"). A host may have any address. "http://" before an entry
	// allows HTTP without TLS, too; for networks, to hosts that are given by address.
	Allowed []string
	// Denied lists networks that are refused although their addresses are public, such as
	// those of nodes. Allowed goes before Denied.
	Denied []string
	// Proxy holds the proxies of the environment. They may have any address. nil means that
	// connections are direct.
	Proxy *httpproxy.Config
}

// Rules decide about connections.
type Rules struct {
	refused []netip.Prefix
	denied  []netip.Prefix
	allowed []allowed
	proxy   *httpproxy.Config
}

// New returns an error that quotes the entry that is malformed.
func New(o Options) (*Rules, error) {
	r := &Rules{refused: refused, proxy: o.Proxy}
	for _, text := range o.Allowed {
		entry, err := parseAllowed(text)
		if err != nil {
			return nil, fmt.Errorf("%q %w", text, err)
		}
		r.allowed = append(r.allowed, entry)
	}
	for _, text := range o.Denied {
		if err := CheckDenied(text); err != nil {
			return nil, fmt.Errorf("%q %w", text, err)
		}
		r.denied = append(r.denied, netip.MustParsePrefix(text).Masked())
	}
	if o.Proxy != nil {
		for _, text := range []string{o.Proxy.HTTPProxy, o.Proxy.HTTPSProxy} {
			if entry, ok := proxyHost(text); ok {
				r.allowed = append(r.allowed, entry)
			}
		}
	}
	return r, nil
}

// proxyHost returns the host and port that net/http connects to for a proxy.
func proxyHost(text string) (allowed, bool) {
	for _, form := range []string{text, "http://" + text} {
		address, err := url.Parse(form)
		if text == "" || err != nil || address.Host == "" {
			continue
		}
		host, _ := splitHost(address.Hostname())
		port := cmp.Or(address.Port(), map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[address.Scheme])
		return allowed{host: host, port: port}, true
	}
	return allowed{}, false
}

// ForPlatform returns the rules for hosts that Cloud Controller names, which are mostly at
// private addresses. Loopback, link-local, multicast and metadata addresses are refused
// unless Options.Allowed lists them.
func (r *Rules) ForPlatform() *Rules {
	platform := *r
	platform.refused, platform.denied = refusedToPlatform, nil
	return &platform
}

// DialContext connects to host:port. It returns an error that wraps a [RefusedError] if all
// of the host's addresses are refused. It fits http.Transport.
func (r *Rules) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	if host, port := splitHost(address); !r.allowsHost(host, port) {
		dialer.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return fmt.Errorf("read the address %q: %w", resolved, err)
			}
			return r.check(address, to.Addr())
		}
	}
	return dialer.DialContext(ctx, network, address)
}

func (r *Rules) allowsHost(host, port string) bool {
	return slices.ContainsFunc(r.allowed, func(entry allowed) bool { return entry.matches(host, port) })
}

// check returns a RefusedError if host may not be reached at an address.
func (r *Rules) check(host string, resolved netip.Addr) error {
	address := plainAddress(resolved)
	switch {
	case slices.ContainsFunc(r.allowed, func(entry allowed) bool { return entry.contains(address) }):
		return nil
	case within(r.denied, address), within(r.refused, address):
		return &RefusedError{Host: host, Address: resolved}
	}
	return nil
}

// Refuses reports whether connections to an address are refused, unless the host's name is
// allowed.
func (r *Rules) Refuses(address netip.Addr) bool { return r.check("", address) != nil }

// PlainHTTP reports whether HTTP without TLS is allowed to host[:port].
func (r *Rules) PlainHTTP(host string) bool {
	name, port := splitHost(host)
	port = cmp.Or(port, "80")
	literal := name
	if name == "localhost" {
		literal = "127.0.0.1"
	}
	address, err := netip.ParseAddr(literal)
	return slices.ContainsFunc(r.allowed, func(entry allowed) bool {
		return entry.plain && (entry.matches(name, port) || err == nil && entry.contains(plainAddress(address)))
	})
}
