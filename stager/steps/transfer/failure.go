package transfer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/platform"
)

// Error says what was not transferred, where and why.
type Error struct {
	// What is the thing ("the app package").
	What string
	// Server is scheme and host.
	Server string
	// Why is a sentence's end ("the server says 404 Not Found").
	Why string
	// Status is the server's, 0 when there was none.
	Status int
	cause  error
	// refused tells that the same request may succeed without a certificate.
	refused bool
	// final tells that the same request will not succeed later.
	final bool
	// job is what Cloud Controller does with an upload that it took; nil if that is not
	// known.
	job *url.URL
	// garbled means that all of it arrived with another checksum.
	garbled bool
	// retryAfter is the pause that the server asks for; 0 if it asks for none.
	retryAfter time.Duration
}

func (e *Error) Error() string {
	if e.Server == "" {
		return fmt.Sprintf("%s: %s", e.What, e.Why)
	}
	return fmt.Sprintf("%s at %s: %s", e.What, e.Server, e.Why)
}

func (e *Error) Unwrap() error { return e.cause }

// server is what may be shown of a URL.
func server(u *url.URL) string { return u.Scheme + "://" + u.Host }

// parse reads a URL without ever quoting it.
func parse(what, text string) (*url.URL, error) {
	u, err := opi.ParseHTTPURL(text)
	if err != nil {
		return nil, &Error{What: what, Why: "its address is not an http or https URL", final: true}
	}
	return u, nil
}

// statusError judges a server's status.
func statusError(what string, u *url.URL, response *http.Response) *Error {
	e := &Error{What: what, Server: server(u), Status: response.StatusCode}
	e.Why = strings.TrimSpace(fmt.Sprintf("the server says %d %s", e.Status, http.StatusText(e.Status)))
	switch {
	case e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooEarly, e.Status == http.StatusTooManyRequests, e.Status >= 500:
		e.retryAfter, _ = platform.RetryAfter(response.Header, time.Now(), longestRetryAfter)
	default:
		e.final = true
	}
	switch e.Status {
	// nginx says 495 and 496 of certificates, or 400.
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, 495, 496:
		e.refused = true
	}
	return e
}

// connectionError judges an error of a request or of a body.
func connectionError(ctx context.Context, what string, u *url.URL, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	e := &Error{What: what, Server: server(u), cause: err}

	var certificate *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var alert tls.AlertError
	var operation *net.OpError
	switch {
	case errors.Is(err, platform.ErrStalled):
		e.Why = "it stopped moving"
	case errors.As(err, new(*outbound.RefusedError)):
		e.Why, e.final = err.Error(), true
	case errors.As(err, &certificate), errors.As(err, &unknown):
		e.Why, e.final = "the server's certificate is not to be trusted: "+err.Error(), true
	case errors.As(err, &alert), errors.As(err, &operation) && operation.Op == "remote error":
		e.Why, e.refused, e.final = "the server refuses the connection: "+err.Error(), true, true
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Why = "nothing listens there"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.Why = "the connection broke off"
	default:
		e.Why = err.Error()
	}
	return e
}
