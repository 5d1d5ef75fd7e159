package bits

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// traffic counts requests and the bytes of their bodies.
type traffic struct {
	inner   http.RoundTripper
	metrics *registryMetrics
}

// RoundTrip implements http.RoundTripper.
func (t traffic) RoundTrip(request *http.Request) (*http.Response, error) {
	began := time.Now()
	counted := request.WithContext(request.Context())
	if request.Method == http.MethodPatch && request.ContentLength <= 0 {
		// A registry that takes no body of unknown length says so before a byte of it
		// is used up; unless the connection were to be used again, for then the body
		// would have to be sent all the same.
		counted.Header = request.Header.Clone()
		counted.Header.Set("Expect", "100-continue")
		counted.Close = true
	}
	if request.Body != nil && request.Body != http.NoBody {
		counted.Body = t.body(request.Body, directionSent)
	}
	response, err := t.inner.RoundTrip(counted)
	if err != nil {
		t.metrics.requests.WithLabelValues(request.Method, "0").Inc()
		return nil, err
	}
	t.metrics.requests.WithLabelValues(request.Method, strconv.Itoa(response.StatusCode)).Inc()
	t.metrics.requestSeconds.WithLabelValues(request.Method).Observe(time.Since(began).Seconds())
	if request.Method == http.MethodPost && response.StatusCode == http.StatusCreated && request.URL.Query().Has("mount") {
		t.metrics.blobs.WithLabelValues(blobMounted).Inc()
	}
	response.Body = t.body(response.Body, directionReceived)
	return response, nil
}

func (t traffic) body(inner io.ReadCloser, direction string) io.ReadCloser {
	return &countedBody{ReadCloser: inner, count: t.metrics.bytes.WithLabelValues(direction)}
}

type countedBody struct {
	io.ReadCloser
	count interface{ Add(float64) }
}

// Read is part of io.ReadCloser.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.count.Add(float64(n))
	return n, err
}
