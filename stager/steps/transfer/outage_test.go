package transfer

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps"
)

// roundTrip answers requests without a network, so that hours pass at once.
type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

func answerWith(request *http.Request, status int, text string) (*http.Response, error) {
	if request.Body != nil {
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return nil, err
		}
		_ = request.Body.Close()
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: request}, nil
}

// refused is what a server answers that is being restarted.
func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

func TestServersMayBeAwayForMinutes(t *testing.T) {
	content := "content"
	send := func(u Upload) func(t *testing.T, c *Client) error {
		return func(_ *testing.T, c *Client) error {
			u.What, u.URL, u.Content = "the droplet", "http://uploader/v1/droplet/g", section(content)
			return c.Upload(context.Background(), u)
		}
	}
	fetch := func(d Download) func(t *testing.T, c *Client) error {
		return func(t *testing.T, c *Client) error {
			file, err := os.Create(filepath.Join(t.TempDir(), "file"))
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
			defer file.Close()
			d.What, d.URL, d.MaxBytes = "the app package", "http://blobstore/package", 100
			_, err = c.Download(context.Background(), d, file)
			return err
		}
	}
	for name, test := range map[string]struct {
		transfer func(*testing.T, *Client) error
		patience time.Duration
	}{
		"droplet":            {send(Upload{}), 5 * time.Minute},
		"cache to be kept":   {send(Upload{Optional: true}), time.Minute},
		"app package":        {fetch(Download{Trusted: true}), 5 * time.Minute},
		"cache":              {fetch(Download{Trusted: true, Optional: true}), time.Minute},
		"a user's buildpack": {fetch(Download{}), time.Minute},
	} {
		for away, back := range map[time.Duration]bool{20 * time.Second: true, test.patience - time.Second: true, test.patience + time.Minute: false} {
			t.Run(name+" "+away.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := NewWithT(t)
					var log bytes.Buffer
					c := loggingClient(t, steps.TLSFiles{}, UsualPatience(), &log)
					began, requests := time.Now(), 0
					c.plain = roundTrip(func(request *http.Request) (*http.Response, error) {
						requests++
						if time.Since(began) < away {
							return nil, refused()
						}
						return answerWith(request, http.StatusOK, content)
					})
					err := test.transfer(t, c)
					if back {
						g.Expect(err).NotTo(HaveOccurred())
						g.Expect(time.Since(began)).To(BeNumerically("<=", away+30*time.Second), "soon after it is back")
					} else {
						g.Expect(err).To(MatchError(ContainSubstring("nothing listens there")))
					}
					g.Expect(requests).To(BeNumerically("<", 40))
					g.Expect(strings.Split(log.String(), "\n")).To(HaveExactElements(
						And(HavePrefix("Trying again for up to "+test.patience.String()+": the "), HaveSuffix(": nothing listens there")), BeEmpty()))
				})
			})
		}
	}
}
