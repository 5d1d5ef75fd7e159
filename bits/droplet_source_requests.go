package bits

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// maxRedirects is as many as Cloud Controller, a blobstore and a load balancer may
// need.
const maxRedirects = 5

// sourceNetworks makes the connections to home, with the client certificate, and to
// all others, without.
func sourceNetworks(o HTTPSourceOptions) (trusted, stranger http.RoundTripper, err error) {
	if (o.CertificateFile == "") != (o.KeyFile == "") {
		return nil, nil, errors.New("a certificate file and a key file belong together")
	}
	metrics := newRegistryMetrics() // of a source only the droplets' bytes are counted
	networks := make([]http.RoundTripper, 2)
	for i := range networks {
		network, err := newNetwork(o.CAFile, o.Timeout)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 && o.CertificateFile != "" {
			if _, err := tls.LoadX509KeyPair(o.CertificateFile, o.KeyFile); err != nil {
				return nil, nil, fmt.Errorf("read the client certificate: %w", err)
			}
			network.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				certificate, err := tls.LoadX509KeyPair(o.CertificateFile, o.KeyFile)
				return &certificate, err
			}
		}
		if i == 1 && o.Outbound != nil {
			network = o.Outbound.Network(network)
		}
		networks[i] = traffic{inner: network, stall: o.Timeout, metrics: metrics}
	}
	return networks[0], networks[1], nil
}

// request asks for address, follows redirects, and says how it went; the answer's
// status is 200, 206 or 416. Every hop is a request of its own: no header that was
// meant for one host reaches another, and neither do certificate and password.
func (s *HTTPSource) request(ctx context.Context, home, address *url.URL, header http.Header) (*http.Response, error) {
	for range maxRedirects + 1 {
		response, err := s.hop(ctx, home, address, header)
		if err != nil {
			return nil, err
		}
		switch {
		case response.StatusCode == http.StatusOK, response.StatusCode == http.StatusPartialContent,
			response.StatusCode == http.StatusRequestedRangeNotSatisfiable:
			return response, nil
		}
		discard(response)
		if response.StatusCode < 300 || response.StatusCode > 399 {
			return nil, &sourceAnswer{host: address.Host, code: response.StatusCode, wait: retryAfter(response)}
		}
		next, err := address.Parse(response.Header.Get("Location"))
		if err != nil || response.Header.Get("Location") == "" {
			// The location may be signed and isn't shown.
			return nil, &permanent{fmt.Errorf("%s redirects to no usable address: %w", address.Host, opi.ErrUnavailable)}
		}
		address = next
	}
	return nil, &permanent{fmt.Errorf("more than %d redirects: %w", maxRedirects, opi.ErrUnavailable)}
}

func (s *HTTPSource) hop(ctx context.Context, home, address *url.URL, header http.Header) (*http.Response, error) {
	if address.Scheme != "https" && (address.Scheme != "http" || !s.options.PlainHTTP) {
		return nil, &permanent{fmt.Errorf("%s is asked for over %s, which is not allowed by the configuration: %w", address.Host, address.Scheme, opi.ErrUnavailable)}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, &permanent{fmt.Errorf("%w: no usable address", opi.ErrUnavailable)}
	}
	request.Header = header.Clone()
	request.Header.Set("User-Agent", userAgent)
	network := s.stranger
	if address.Scheme == home.Scheme && strings.EqualFold(hostAndPort(address), hostAndPort(home)) {
		network = s.trusted
		if s.credentials != (fileCredentials{}) {
			credentials, err := s.credentials.Authorization()
			if err != nil {
				return nil, err
			}
			request.SetBasicAuth(credentials.Username, credentials.Password)
		}
	}
	if user := address.User; user != nil && request.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
	return network.RoundTrip(request)
}

// hostAndPort is where a URL leads, with the port that its scheme implies.
func hostAndPort(address *url.URL) string {
	port := address.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[address.Scheme]
	}
	return address.Hostname() + ":" + port
}
