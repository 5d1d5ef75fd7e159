package bits

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxManifestBytes bounds a manifest, which is kept in memory as a whole.
// Registries commonly take no larger ones than 4 MiB.
const maxManifestBytes = 4 << 20

// boundedManifests fails the reading of a manifest that is too large; otherwise a
// hostile registry could fill the memory.
type boundedManifests struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedManifests) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.inner.RoundTrip(request)
	if err != nil || !asksForManifest(request) {
		return response, err
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: maxManifestBytes}
	return response, nil
}

// asksForManifest looks at what was asked first: a redirect may lead anywhere.
func asksForManifest(request *http.Request) bool {
	for request.Response != nil && request.Response.Request != nil {
		request = request.Response.Request
	}
	return strings.Contains(request.URL.Path, "/manifests/")
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the manifest has more than %d bytes", maxManifestBytes)
	}
	return n, err
}
