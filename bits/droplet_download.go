package bits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/platform"
)

// sourceAnswer is a droplet source's answer that is no droplet.
type sourceAnswer struct {
	host string
	code int
	// wait is how long the source asks to wait. waits is false if it asks for longer than
	// maxRetryAfter.
	wait  time.Duration
	waits bool
}

func (a *sourceAnswer) Error() string {
	return fmt.Sprintf("%s answers %d %s", a.host, a.code, http.StatusText(a.code))
}

// download is a droplet's bytes over as many connections as it takes. What broke in
// the middle goes on where it stopped, if the source can do that with the same file;
// otherwise it is read from the start once more, and what was had already is passed
// over.
//
// It is used by one goroutine.
type download struct {
	ctx    context.Context
	source *HTTPSource
	// home is the configured address, whose host may see certificate and password.
	home    *url.URL
	address *url.URL
	doing   string

	body   io.ReadCloser
	offset int64
	// total is -1 when the source didn't tell.
	total int64
	// validator is the file's ETag or time of change, "" for none: what a
	// continuation must be of.
	validator string
	// pauses counts connections in a row that brought no byte.
	pauses *platform.Pauses
	// ended is what every Read returns after the first error.
	ended error
}

// Read implements io.Reader. Its errors wrap opi.ErrRefused where the droplet is too
// large, opi.ErrUnavailable where it can't be had at present.
func (d *download) Read(p []byte) (int, error) {
	if d.ended != nil {
		return 0, d.ended
	}
	n, err := d.read(p)
	d.ended = err
	return n, err
}

func (d *download) read(p []byte) (int, error) {
	for {
		n, err := d.body.Read(p)
		d.offset += int64(n)
		if d.offset > d.source.options.MaxBytes {
			return 0, d.tooLarge(fmt.Sprintf("more than %d", d.source.options.MaxBytes))
		}
		if n > 0 {
			d.pauses.Reset()
		}
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, io.EOF) && d.offset >= d.total:
			return n, io.EOF
		case n > 0:
			// The error comes again with the next call.
			return n, nil
		case d.ctx.Err() != nil:
			return 0, context.Cause(d.ctx)
		}
		if err := d.reconnect(err); err != nil {
			return 0, err
		}
	}
}

// Close implements io.Closer.
func (d *download) Close() error { return d.body.Close() }

// reconnect replaces a body that failed.
func (d *download) reconnect(failure error) error {
	// It failed; there is nothing more to learn from it.
	_ = d.body.Close()
	d.body = http.NoBody
	pause := d.pauses.Next()
	if d.pauses.Failures() >= maxAttempts {
		return fmt.Errorf("%s: %w after %d bytes, %d attempts: %w", d.doing, opi.ErrUnavailable, d.offset, d.pauses.Failures(), failure)
	}
	if err := platform.Sleep(d.ctx, pause); err != nil {
		return err
	}
	return d.connect()
}

// connect asks for what is missing, until there is an answer that says something.
func (d *download) connect() error {
	var response *http.Response
	var final error
	err := platform.Retry(d.ctx, d.pauses, func() error {
		var err error
		response, err = d.source.request(d.ctx, d.home, d.address, d.header())
		return err
	}, func(err error, pause time.Duration) (time.Duration, bool) {
		answer, answered := errors.AsType[*sourceAnswer](err)
		switch {
		case d.ctx.Err() != nil:
			return 0, false
		case answered && (answer.code == http.StatusNotFound || answer.code == http.StatusGone):
			final = dropletGone(fmt.Errorf("%s: %w: %s (%w)", d.doing, opi.ErrRefused, d.source.notThere(), err))
			return 0, false
		case answered && (!platform.Transient(answer.code) || !answer.waits),
			errors.As(err, new(*permanent)),
			d.pauses.Failures() >= maxAttempts:
			final = fmt.Errorf("%s: %w: %w", d.doing, opi.ErrUnavailable, err)
			return 0, false
		}
		if answered {
			pause = max(pause, answer.wait)
		}
		return pause, true
	})
	switch {
	case err == nil:
		return d.take(response)
	case final != nil:
		return final
	}
	return fmt.Errorf("%s: %w", d.doing, context.Cause(d.ctx))
}

// notThere returns the meaning of a 404.
func (s *HTTPSource) notThere() string {
	if s.options.CloudController != "" {
		return "Cloud Controller hands droplets out by their SHA-256 only, which it does not name when an app starts; " +
			"the platform's operator has to configure another source, or the app has to be staged again"
	}
	return "no such droplet there"
}

// header asks for the rest of the same file. "identity" keeps a droplet that is
// gzipped from being unzipped on the way.
func (d *download) header() http.Header {
	header := http.Header{"Accept-Encoding": {"identity"}}
	if d.offset > 0 && d.validator != "" {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.offset))
		header.Set("If-Range", d.validator)
	}
	return header
}

// take makes an answer's body the one that is read.
func (d *download) take(response *http.Response) error {
	switch response.StatusCode {
	case http.StatusPartialContent:
		start, total, err := contentRange(response.Header.Get("Content-Range"))
		if err != nil || start != d.offset {
			platform.Discard(response)
			return fmt.Errorf("%s: %w: asked for the bytes from %d on, the answer is %q", d.doing, opi.ErrUnavailable, d.offset, response.Header.Get("Content-Range"))
		}
		d.total = max(d.total, total)
	case http.StatusOK:
		if response.ContentLength > d.source.options.MaxBytes {
			platform.Discard(response)
			return d.tooLarge(fmt.Sprint(response.ContentLength))
		}
		d.total, d.validator = response.ContentLength, validatorOf(response.Header)
		if d.offset > 0 {
			return d.skip(response)
		}
	default:
		platform.Discard(response)
		return fmt.Errorf("%s: %w: it got shorter than the %d bytes read already", d.doing, opi.ErrUnavailable, d.offset)
	}
	d.body = response.Body
	return nil
}

// skip passes over what was read from an earlier connection. If the file has
// changed since, its checksum will tell.
func (d *download) skip(response *http.Response) error {
	if _, err := io.CopyN(io.Discard, response.Body, d.offset); err != nil {
		_ = response.Body.Close()
		d.body = http.NoBody
		if d.ctx.Err() != nil {
			return context.Cause(d.ctx)
		}
		return d.reconnect(err)
	}
	d.body = response.Body
	return nil
}

func (d *download) tooLarge(size string) error {
	message := fmt.Sprintf("the droplet has %s bytes, the limit is %d", size, d.source.options.MaxBytes)
	return opi.WithMessage(fmt.Errorf("%s: %w: %s", d.doing, opi.ErrRefused, message), "%s", message)
}

// validatorOf is what If-Range takes: a strong ETag or, without, the time of change.
func validatorOf(header http.Header) string {
	if tag := header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return header.Get("Last-Modified")
}

// contentRange reads "bytes first-last/total"; total is -1 for "*".
func contentRange(value string) (first, total int64, err error) {
	var last int64
	if _, err := fmt.Sscanf(value, "bytes %d-%d/*", &first, &last); err == nil && strings.HasSuffix(value, "/*") {
		return first, -1, nil
	}
	_, err = fmt.Sscanf(value, "bytes %d-%d/%d", &first, &last, &total)
	return first, total, err
}
