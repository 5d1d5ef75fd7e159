package bits

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/platform"
)

// maxRedirects is as many as Cloud Controller, a blobstore and a load balancer may
// need.
const maxRedirects = 5

// sourceNetworks makes the clients for home, with the client certificate, and for all
// others, without.
func sourceNetworks(o HTTPSourceOptions) (trusted, stranger http.RoundTripper, err error) {
	options := platform.Options{
		Peer: "droplet_source", Files: trust(o.CAFile), Proxies: true, Bulk: true,
		HeaderTimeout: o.Timeout, Stall: o.Timeout, Logger: o.Logger, Metrics: o.Metrics,
	}
	others := options
	others.Outbound = o.Outbound
	options.Files.Certificate, options.Files.Key = o.CertificateFile, o.KeyFile
	if trusted, err = platform.New(options); err != nil {
		return nil, nil, fmt.Errorf("read %w", err)
	}
	if stranger, err = platform.New(others); err != nil {
		return nil, nil, fmt.Errorf("read %w", err)
	}
	return trusted, stranger, nil
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
		platform.Discard(response)
		if response.StatusCode < 300 || response.StatusCode > 399 {
			answer := &sourceAnswer{host: address.Host, code: response.StatusCode}
			answer.wait, answer.waits = platform.RetryAfter(response.Header, time.Now(), maxRetryAfter)
			return nil, answer
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
