package outbound

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
)

// Network returns a copy of base that makes its connections by the rules, through the
// proxies of the rules. It does not look at schemes.
func (r *Rules) Network(base *http.Transport) *http.Transport {
	network := base.Clone()
	network.DialContext, network.DialTLSContext, network.Proxy = r.DialContext, nil, nil
	if r.proxy != nil {
		choose := r.proxy.ProxyFunc()
		network.Proxy = func(request *http.Request) (*url.URL, error) {
			proxy, err := choose(request.URL)
			if proxy == nil || err != nil {
				return nil, err
			}
			return proxy, r.checkProxied(request.Context(), request.URL)
		}
	}
	return network
}

// checkProxied checks the host that a proxy is going to connect to. A name that only the
// proxy can resolve is the proxy's to judge.
func (r *Rules) checkProxied(ctx context.Context, to *url.URL) error {
	host, port := splitHost(to.Host)
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[to.Scheme]
	}
	if r.allowsHost(host, port) {
		return nil
	}
	addresses := make([]netip.Addr, 1)
	var err error
	if addresses[0], err = netip.ParseAddr(host); err != nil {
		addresses, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	if err != nil {
		return nil
	}
	for _, address := range addresses {
		if err := r.check(to.Host, address); err != nil {
			return fmt.Errorf("use the proxy: %w", err)
		}
	}
	return nil
}

// Transport returns a transport for hosts that users choose. Beyond [Rules.Network], it
// refuses HTTP without TLS to hosts that are not allowed as http://, and redirects from https
// to http.
func (r *Rules) Transport(base *http.Transport) http.RoundTripper {
	return checked{rules: r, network: r.Network(base)}
}

type checked struct {
	rules   *Rules
	network http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t checked) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := t.check(request); err != nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, err
	}
	return t.network.RoundTrip(request)
}

func (t checked) check(request *http.Request) error {
	if request.URL.Scheme == "https" {
		return nil
	}
	redirectedFromTLS := false
	for at := request.Response; at != nil && at.Request != nil; at = at.Request.Response {
		redirectedFromTLS = redirectedFromTLS || at.Request.URL.Scheme == "https"
	}
	if redirectedFromTLS || request.URL.Scheme != "http" || !t.rules.PlainHTTP(request.URL.Host) {
		return &RefusedError{Host: request.URL.Host, Redirect: redirectedFromTLS}
	}
	return nil
}
