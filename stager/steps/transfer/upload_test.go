package transfer

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

func upload(t testing.TB, c *Client, address, content string) error {
	t.Helper()
	sum, sha := md5.Sum([]byte(content)), sha256.Sum256([]byte(content))
	return c.Upload(context.Background(), Upload{What: "the droplet", URL: address, Content: section(content), MD5: sum[:], SHA256: sha[:]})
}

func TestUploadAsTheUploaderWantsIt(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	content := strings.Repeat("droplet", 100_000)
	server := p.Serve(t, tls.RequireAndVerifyClientCert, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		sum := md5.Sum(body)
		switch {
		case err != nil, r.Method != http.MethodPost:
			w.WriteHeader(400)
		case r.ContentLength != int64(len(content)) || len(r.TransferEncoding) > 0:
			w.WriteHeader(411)
		case string(body) != content, r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]),
			!strings.HasPrefix(r.Header.Get("Content-Digest"), "sha-256=:"):
			w.WriteHeader(422)
		// The inner URL comes unescaped from Cloud Controller, and the uploader parses
		// it like that.
		case r.URL.Query().Get("cc-droplet-upload-uri") != "https://cc:9023/internal/v4/droplets/g/upload":
			w.WriteHeader(404)
		default:
			w.WriteHeader(http.StatusCreated)
		}
	})
	err := upload(t, client(t, p.Files(), hasty()), server.URL+"/v1/droplet/g?cc-droplet-upload-uri=https://cc:9023/internal/v4/droplets/g/upload", content)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestEmptyUpload(t *testing.T) {
	g := NewWithT(t)
	server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			w.WriteHeader(400)
		}
	})
	g.Expect(upload(t, client(t, steps.TLSFiles{}, hasty()), server.URL, "")).To(Succeed())
}

// directServer is Cloud Controller itself: it takes a form and answers with a job,
// whose states it then tells.
func directServer(t *testing.T, states ...string) string {
	var asked atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("POST /internal/v4/droplets/g/upload", func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("upload[droplet]")
		if err != nil {
			w.WriteHeader(400)
			return
		}
		body, _ := io.ReadAll(file)
		if string(body) != "content" || header.Filename != "droplet.tgz" || r.ContentLength <= 0 {
			w.WriteHeader(422)
			return
		}
		fmt.Fprintf(w, `{"metadata":{"guid":"j","url":"/internal/v4/staging_jobs/j"},"entity":{"guid":"j","status":%q}}`, states[0])
	})
	mux.HandleFunc("GET /internal/v4/staging_jobs/j", func(w http.ResponseWriter, _ *http.Request) {
		state := states[min(int(asked.Add(1)), len(states)-1)]
		if state == "busy" {
			w.WriteHeader(503)
			return
		}
		fmt.Fprintf(w, `{"metadata":{"guid":"j","url":"/internal/v4/staging_jobs/j"},"entity":{"guid":"j","status":%q}}`, state)
	})
	return steptest.Serve(t, mux.ServeHTTP).URL + "/internal/v4/droplets/g/upload"
}

func TestUploadStraightToCloudController(t *testing.T) {
	c := client(t, steps.TLSFiles{}, hasty())
	for name, test := range map[string]struct {
		states []string
		want   string
	}{
		"done at once":   {[]string{"finished"}, ""},
		"done later":     {[]string{"queued", "queued", "running", "finished"}, ""},
		"busy meanwhile": {[]string{"queued", "busy", "finished"}, ""},
		"failed":         {[]string{"queued", "failed"}, "took it and then failed to store it"},
		"senseless":      {[]string{"queued", "lost"}, "took it and then failed to store it"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := upload(t, c, directServer(t, test.states...), "content")
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(test.want)))
			}
		})
	}
	t.Run("never done", func(t *testing.T) {
		g := NewWithT(t)
		patience := hasty()
		patience.Answer = 100 * time.Millisecond
		err := upload(t, client(t, steps.TLSFiles{}, patience), directServer(t, "running"), "content")
		g.Expect(err).To(MatchError(ContainSubstring("has not stored it within 100ms")))
	})
	t.Run("elsewhere", func(t *testing.T) {
		g := NewWithT(t)
		server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"metadata":{"url":"http://elsewhere.invalid/x"},"entity":{"status":"queued"}}`)
		})
		g.Expect(upload(t, c, server.URL, "content")).To(MatchError(ContainSubstring("doesn't say on itself where to ask")))
	})
	t.Run("in other words", func(t *testing.T) {
		g := NewWithT(t)
		server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK, thank you") })
		g.Expect(upload(t, c, server.URL, "content")).To(Succeed())
	})
}

func TestUploadsAreTriedAgain(t *testing.T) {
	// A server that doesn't read does not learn that the client has gone; it waits
	// for the test's end.
	for name, fail := range map[string]func(w http.ResponseWriter, r *http.Request, ended <-chan struct{}){
		"502":       func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) { w.WriteHeader(502) },
		"no answer": func(http.ResponseWriter, *http.Request, <-chan struct{}) { panic(http.ErrAbortHandler) },
		"stalled": func(_ http.ResponseWriter, r *http.Request, ended <-chan struct{}) {
			_, _ = io.CopyN(io.Discard, r.Body, 1000)
			<-ended
		},
		"silent": func(_ http.ResponseWriter, r *http.Request, ended <-chan struct{}) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-ended
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var requests atomic.Int32
			content := strings.Repeat("x", 20<<20)
			ended := make(chan struct{})
			server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) < 3 {
					fail(w, r, ended)
					return
				}
				if n, _ := io.Copy(io.Discard, r.Body); n != int64(len(content)) {
					w.WriteHeader(400)
				}
			})
			t.Cleanup(func() { close(ended) })
			patience := hasty()
			patience.Stall, patience.Answer = time.Second, time.Second
			g.Expect(upload(t, client(t, steps.TLSFiles{}, patience), server.URL, content)).To(Succeed())
			g.Expect(requests.Load()).To(BeEquivalentTo(3))
		})
	}
}

func TestSlowAnswersAreAwaited(t *testing.T) {
	g := NewWithT(t)
	answer := make(chan struct{})
	server := steptest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-answer
	})
	patience := hasty()
	patience.Stall = 50 * time.Millisecond
	time.AfterFunc(10*patience.Stall, func() { close(answer) })
	g.Expect(upload(t, client(t, steps.TLSFiles{}, patience), server.URL, "content")).To(Succeed(), "a server that works is not one that stalls")
}

func TestRefusedUploads(t *testing.T) {
	for answer, want := range map[string]string{
		`{"description":"The droplet is too large","code":1}`:               "the server says 422 Unprocessable Entity: The droplet is too large",
		`{"description":"see https://cc.internal/?signature=s3cret"}`:       "the server says 422 Unprocessable Entity",
		`status code: 422 Post "https://user:hunter2@cc/upload?sig=s3cret"`: "the server says 422 Unprocessable Entity",
	} {
		t.Run(answer, func(t *testing.T) {
			g := NewWithT(t)
			var requests atomic.Int32
			server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(422)
				fmt.Fprint(w, answer)
			})
			err := upload(t, client(t, steps.TLSFiles{}, hasty()), server.URL+"?sig=s3cret", "content")
			g.Expect(err).To(MatchError("the droplet at " + server.URL + ": " + want))
			g.Expect(requests.Load()).To(BeEquivalentTo(1))
		})
	}
}

func TestUploadFollowsNoRedirect(t *testing.T) {
	g := NewWithT(t)
	server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	g.Expect(upload(t, client(t, steps.TLSFiles{}, hasty()), server.URL, "x")).To(MatchError(ContainSubstring("307")))
}
