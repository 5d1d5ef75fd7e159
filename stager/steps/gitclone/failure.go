package gitclone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// explain says what is wrong in words that are fit for anybody.
func (c *cloner) explain(err error) error {
	var known *Error
	var status *githttp.Err
	var network *url.Error
	var unexpected *plumbing.UnexpectedError
	if errors.As(err, &unexpected) {
		err = unexpected.Err
	}
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, errTooMuch):
		return &Error{Why: "it is too large", Final: true, TooLarge: true}
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return &Error{Why: "the server wants other credentials, or there is no such repository", Final: true}
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return &Error{Why: "there is no git repository", Final: true, NoRepository: true}
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return &Error{Why: "the git repository is empty", Final: true}
	case errors.As(err, &status):
		code := status.StatusCode()
		return &Error{Why: fmt.Sprintf("the server says %d", code), Final: code < 500 && code != 429 && code != 408}
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return &Error{Why: "the server's certificate is not to be trusted", Final: true, cause: err}
	case errors.As(err, &network):
		return &Error{Why: network.Err.Error(), cause: network.Err}
	}
	return &Error{Why: c.withoutSecrets(err.Error()), cause: err}
}

// withoutSecrets removes the password from a text, in case it got there.
func (c *cloner) withoutSecrets(text string) string {
	if c.auth == nil {
		return text
	}
	for _, secret := range []string{c.auth.Password, url.PathEscape(c.auth.Password), url.QueryEscape(c.auth.Password), c.auth.Username} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return text
}

// Error says why a repository was not cloned.
type Error struct {
	Why string
	// Final tells that it will not succeed later.
	Final bool
	// TooLarge tells that it is more than the limits allow.
	TooLarge bool
	// NoRepository tells that something else may be there.
	NoRepository bool
	cause        error
}

func (e *Error) Error() string { return e.Why }

func (e *Error) Unwrap() error { return e.cause }
