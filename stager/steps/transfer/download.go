package transfer

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/platform"
)

// maxRedirects is how often one may be sent elsewhere.
const maxRedirects = 10

// Download is a file to be fetched.
type Download struct {
	// What it is, for people ("the app package").
	What string
	URL  string
	// Trusted tells that the platform made the URL, not a user.
	Trusted bool
	// AnyCertificate accepts any certificate of the servers, for what is not Trusted.
	AnyCertificate bool
	// Optional means that the caller can go without the file.
	Optional bool
	// Checksum is zero when it is not known.
	Checksum opi.Checksum
	// MaxBytes bounds the file.
	MaxBytes int64
}

// Download writes a file and returns its size. Whatever was in the file before is
// gone, also after an error.
func (c *Client) Download(ctx context.Context, d Download, to *os.File) (int64, error) {
	u, err := parse(d.What, d.URL)
	if err != nil {
		return 0, err
	}
	within := c.patience.Outage
	if d.Optional || !d.Trusted {
		within = c.patience.ShortOutage
	}
	var size int64
	err = c.retry(ctx, within, func() error {
		if d.Trusted && c.mutual != nil && u.Scheme == "https" {
			size, err = c.download(ctx, d, u, c.mutual, to)
			var e *Error
			if !errors.As(err, &e) || !e.refused {
				return err
			}
			// Whether the certificate was what it refused shows without one. If it
			// wasn't, the first answer is the better explanation.
			first := err
			if size, err = c.download(ctx, d, u, c.plain, to); err == nil {
				return nil
			}
			if errors.As(err, &e) && e.final {
				return first
			}
			return err
		}
		transport := c.plain
		if d.AnyCertificate && !d.Trusted {
			transport = c.unverified
		}
		size, err = c.download(ctx, d, u, transport, to)
		return err
	})
	return size, err
}

// download makes one attempt.
func (c *Client) download(ctx context.Context, d Download, u *url.URL, transport http.RoundTripper, to *os.File) (int64, error) {
	if err := empty(to); err != nil {
		return 0, err
	}
	response, u, err := c.get(ctx, d.What, u, transport)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		e := statusError(d.What, u, response)
		if e.Status == http.StatusForbidden && u.RawQuery != "" {
			e.Why += "; a signed link may have run out"
		}
		return 0, e
	}
	tooLarge := &Error{What: d.What, Server: server(u), Why: fmt.Sprintf("it has more than %d bytes", d.MaxBytes), final: true}
	if response.ContentLength > d.MaxBytes {
		return 0, tooLarge
	}

	digest := digestOf(d.Checksum)
	written := &diskWriter{w: to}
	body := io.LimitReader(response.Body, d.MaxBytes+1)
	size, err := io.CopyBuffer(io.MultiWriter(written, digest), body, make([]byte, 256<<10))
	switch {
	case written.err != nil:
		return 0, fmt.Errorf("write %s to the disk: %w", d.What, written.err)
	case err != nil:
		return 0, connectionError(ctx, d.What, u, err)
	case size > d.MaxBytes:
		return 0, tooLarge
	}
	if got := hex.EncodeToString(digest.Sum(nil)); d.Checksum != (opi.Checksum{}) && got != strings.ToLower(d.Checksum.Value) {
		return 0, &Error{What: d.What, Server: server(u), Why: fmt.Sprintf("its %s checksum is %s and should be %s", d.Checksum.Algorithm, got, d.Checksum.Value), garbled: true}
	}
	return size, nil
}

// get follows redirects, without the client certificate once they lead to another
// host. It returns the URL that answered.
func (c *Client) get(ctx context.Context, what string, u *url.URL, transport http.RoundTripper) (*http.Response, *url.URL, error) {
	for range maxRedirects {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, u, &Error{What: what, Server: server(u), Why: "it can't be asked for", final: true}
		}
		response, err := platform.Do(transport, request)
		if err != nil {
			return nil, u, connectionError(ctx, what, u, err)
		}
		if !isRedirect(response.StatusCode) {
			return response, u, nil
		}
		_ = response.Body.Close()
		location := response.Header.Get("Location")
		next, err := u.Parse(location)
		if location == "" || err != nil || !opi.IsHTTP(next) {
			return nil, u, &Error{What: what, Server: server(u), Why: "the server redirects to what is not an http or https URL", final: true}
		}
		if server(next) == server(u) {
			if next.User == nil {
				next.User = u.User
			}
		} else if transport != c.unverified {
			transport = c.plain
		}
		u = next
	}
	return nil, u, &Error{What: what, Server: server(u), Why: "the server redirects too often", final: true}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

func empty(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// digestOf makes what computes a checksum.
func digestOf(checksum opi.Checksum) hash.Hash {
	if checksum.Algorithm == "sha1" {
		return sha1.New()
	}
	return sha256.New()
}

// diskWriter keeps its error apart from those of the other side.
type diskWriter struct {
	w   io.Writer
	err error
}

func (w *diskWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}
