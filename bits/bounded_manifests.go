package bits

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

const (
	// maxManifestBytes bounds a manifest, which is kept in memory as a whole.
	// Registries commonly take no larger ones than 4 MiB.
	maxManifestBytes = 4 << 20
	// maxRegistryRedirects is the limit that net/http has by itself. go-containerregistry
	// has none, because it replaces CheckRedirect (pkg/v1/remote/fetcher.go, v0.22.1).
	maxRegistryRedirects = 10
)

// boundedManifests reads manifests and fails for one that is too large or has too many
// values; otherwise a hostile registry could fill the memory. go-containerregistry decodes
// every manifest, and as a whole (fetchManifest in pkg/v1/remote/fetcher.go, v0.22.1).
type boundedManifests struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedManifests) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.inner.RoundTrip(request)
	if err != nil || !asksForManifest(request) {
		return response, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(&boundedBody{ReadCloser: response.Body, left: maxManifestBytes})
	if err != nil {
		return nil, err
	}
	if err := checkJSON(text, maxManifestValues); err != nil {
		return nil, faultf("the manifest %v", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(text))
	return response, nil
}

// asksForManifest looks at what was asked first: a redirect may lead anywhere.
func asksForManifest(request *http.Request) bool {
	return strings.Contains(firstRequest(request).URL.Path, "/manifests/")
}

// boundedRedirects ends a registry's redirects that lead nowhere.
type boundedRedirects struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedRedirects) RoundTrip(request *http.Request) (*http.Response, error) {
	redirects := 0
	for at := request; at.Response != nil && at.Response.Request != nil; at = at.Response.Request {
		redirects++
	}
	if redirects > maxRegistryRedirects {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, &permanent{faultf("its registry redirects more than %d times", maxRegistryRedirects)}
	}
	return t.inner.RoundTrip(request)
}

// firstRequest returns the request before all redirects.
func firstRequest(request *http.Request) *http.Request {
	for request.Response != nil && request.Response.Request != nil {
		request = request.Response.Request
	}
	return request
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, faultf("the manifest has more than %d bytes", maxManifestBytes)
	}
	return n, err
}
