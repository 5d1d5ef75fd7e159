package bits

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/outbound"
)

// imageError explains why an image can't be used. Its text is fit for the image's owner.
type imageError struct {
	reference, reason string
	// kind is opi.ErrUnavailable if the same image may be readable later, otherwise
	// opi.ErrRefused.
	kind  error
	cause error
}

func (e *imageError) Error() string   { return e.reference + ": " + e.reason }
func (e *imageError) Unwrap() []error { return []error{e.kind, e.cause} }

// imageFault is a fault of an image's content. It is not decided here whether anybody is
// to be refused for it.
type imageFault string

func (f imageFault) Error() string { return string(f) }

func faultf(format string, args ...any) error { return imageFault(fmt.Sprintf(format, args...)) }

// explainImage sorts the errors of reading an image by what may help. Only what may pass
// by itself is unavailable: a connection that fails, and an answer that says "not now".
// Everything else is a fault of the image or of the request, because the same request
// would fail in the same way. So an error that nobody has thought of is reported at once.
func explainImage(reference string, err error) error {
	explained := &imageError{reference: reference, kind: opi.ErrRefused, cause: err}
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		explained.reason = answerReason(answer)
		if passes(answer) {
			explained.kind = opi.ErrUnavailable
		}
		return explained
	}
	if refused, ok := errors.AsType[*outbound.RefusedError](err); ok {
		explained.reason = "its registry has, or refers to, an address that this platform does not connect to"
		if refused.NoTLS() {
			explained.reason = "its registry does not use TLS"
		}
		return explained
	}
	if failed, ok := errors.AsType[*connectionError](err); ok {
		explained.reason = connectionReason(failed)
		if !lasts(failed) {
			explained.kind = opi.ErrUnavailable
		}
		return explained
	}
	fault, known := errors.AsType[imageFault](err)
	switch {
	case known:
		explained.reason = fault.Error()
	case errors.Is(err, remote.ErrSchema1):
		explained.reason = "its manifest has Docker's old format (schema 1), which can't be run; push it again with a current version of its tool"
	default:
		// The text may hold what a server has answered.
		explained.reason = "it can't be read"
	}
	return explained
}

// passes reports whether an answer's reason may pass by itself.
func passes(answer *transport.Error) bool {
	switch answer.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return answer.StatusCode >= 500 || slices.ContainsFunc(answer.Errors, func(diagnostic transport.Diagnostic) bool {
		return diagnostic.Code == transport.TooManyRequestsErrorCode || diagnostic.Code == transport.UnavailableErrorCode
	})
}

// answerReason describes what a registry's answer means for the image. It quotes nothing of the
// answer but its status: the user has chosen who is asked, and must not read the answers of
// servers that only Irene can reach.
func answerReason(answer *transport.Error) string {
	said := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	path := ""
	if answer.Request != nil {
		path = firstRequest(answer.Request).URL.Path
	}
	switch {
	case passes(answer):
		return "its registry can't answer at present (" + said + ")"
	case answer.StatusCode == http.StatusUnauthorized, answer.StatusCode == http.StatusForbidden:
		return "its registry denies access (" + said + "): there is no such image, or other credentials are needed"
	case answer.StatusCode != http.StatusNotFound:
		return "its registry refuses the request (" + said + ")"
	case strings.Contains(path, "/manifests/"):
		return "its registry has no such image (" + said + ")"
	case strings.Contains(path, "/blobs/"):
		return "its registry lacks a part of it (" + said + "); push it again"
	}
	return "its registry does not answer like one (" + said + ")"
}

// connectionError marks an error of a connection to a registry, in contrast to an error
// in what the registry answers.
type connectionError struct{ cause error }

func (e *connectionError) Error() string { return e.cause.Error() }
func (e *connectionError) Unwrap() error { return e.cause }

// Temporary lets go-containerregistry repeat requests as it would without the mark.
func (e *connectionError) Temporary() bool {
	cause, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](e.cause)
	return ok && cause.Temporary()
}

// lasts reports whether another connection would fail in the same way: the host does not
// exist, or the two sides can't agree on TLS.
func lasts(err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	alert := ok && operation.Op == "remote error" // of TLS
	return alert || noSuchHost(err) || wrongPeer(err) || errors.As(err, new(*net.AddrError))
}

// noSuchHost is false for a name server that does not answer.
func noSuchHost(err error) bool {
	lookup, ok := errors.AsType[*net.DNSError](err)
	return ok && lookup.IsNotFound
}

// connectionReason is a fixed text for each kind of failure: the error's own has addresses
// and parts of certificates.
func connectionReason(err error) string {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	timeout, waited := errors.AsType[net.Error](err)
	switch {
	case noSuchHost(err):
		return "the host of its registry does not exist"
	case untrusted && errors.As(err, new(x509.HostnameError)):
		return "the certificate of its registry is for another host"
	case untrusted && errors.As(err, new(x509.UnknownAuthorityError)):
		return "the certificate of its registry is not trusted: its authority is not known"
	case untrusted:
		return "the certificate of its registry is not trusted"
	case wrongPeer(err):
		return "its registry does not use TLS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "its registry can't be reached: connection refused"
	case waited && timeout.Timeout():
		return "its registry can't be reached: timeout"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "its registry can't be reached: the connection was cut off"
	}
	return "its registry can't be reached"
}

// wrongPeer reports whether the peer is not the one that was meant: without TLS, or with a
// certificate that is not trusted.
func wrongPeer(err error) bool {
	return errors.As(err, new(tls.RecordHeaderError)) || errors.As(err, new(*tls.CertificateVerificationError)) ||
		errors.Is(err, http.ErrSchemeMismatch)
}

// markedConnections marks the errors of connections, those of reading bodies included.
type markedConnections struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t markedConnections) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.inner.RoundTrip(request)
	if err != nil {
		return response, &connectionError{err}
	}
	response.Body = markedBody{response.Body}
	return response, nil
}

type markedBody struct{ io.ReadCloser }

// Read is part of io.ReadCloser.
func (b markedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &connectionError{err}
	}
	return n, err
}
