package transfer

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

func TestDownload(t *testing.T) {
	g := NewWithT(t)
	server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "%s:%s %s", user, password, r.URL.RawQuery)
	})
	address := strings.Replace(server.URL, "://", "://us%40er:pa%3Ass@", 1) + "/path?sig=a%2Bb"
	c := client(t, steps.TLSFiles{}, hasty())
	g.Expect(download(t, c, Download{URL: address})).To(Equal("us@er:pa:ss sig=a%2Bb"))
}

func TestChecksums(t *testing.T) {
	var requests atomic.Int32
	server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { requests.Add(1); fmt.Fprint(w, "content") })
	c := client(t, steps.TLSFiles{}, hasty())
	for name, sum := range map[string]opi.Checksum{
		"sha1":       {Algorithm: "sha1", Value: fmt.Sprintf("%x", sha1.Sum([]byte("content")))},
		"sha256":     {Algorithm: "sha256", Value: fmt.Sprintf("%x", sha256.Sum256([]byte("content")))},
		"upper case": {Algorithm: "sha256", Value: fmt.Sprintf("%X", sha256.Sum256([]byte("content")))},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(download(t, c, Download{URL: server.URL, Checksum: sum})).To(Equal("content"))
			sum.Value = strings.Repeat("0", len(sum.Value))
			requests.Store(0)
			_, err := download(t, c, Download{URL: server.URL, Checksum: sum})
			g.Expect(err).To(MatchError(ContainSubstring("its " + sum.Algorithm + " checksum is ")))
			g.Expect(requests.Load()).To(BeEquivalentTo(hasty().Downloads), "all of it was sent each time")
		})
	}
}

func TestDownloadsAreTriedAgain(t *testing.T) {
	for name, fail := range map[string]http.HandlerFunc{
		"500":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"429":       func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "0"); w.WriteHeader(429) },
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half of it")
		},
		"stalled": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "half of it")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"garbled": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "kontent") },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var requests atomic.Int32
			server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) < 3 {
					fail(w, r)
					return
				}
				fmt.Fprint(w, "content")
			})
			patience := hasty()
			patience.Stall = 200 * time.Millisecond
			c := client(t, steps.TLSFiles{}, patience)
			sum := opi.Checksum{Algorithm: "sha256", Value: fmt.Sprintf("%x", sha256.Sum256([]byte("content")))}
			g.Expect(download(t, c, Download{URL: server.URL, Checksum: sum})).To(Equal("content"))
			g.Expect(requests.Load()).To(BeEquivalentTo(3))
		})
	}
}

func TestDefiniteAnswersAreFinal(t *testing.T) {
	for status, want := range map[int]string{
		400: "400 Bad Request", 401: "401 Unauthorized", 403: "403 Forbidden; a signed link may have run out", 404: "404 Not Found", 410: "410 Gone", 204: "204 No Content",
	} {
		t.Run(want, func(t *testing.T) {
			g := NewWithT(t)
			var requests atomic.Int32
			server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { requests.Add(1); w.WriteHeader(status) })
			c := client(t, steps.TLSFiles{}, hasty())
			_, err := download(t, c, Download{URL: server.URL + "/x?md5=secret"})
			g.Expect(err).To(MatchError("the app package at " + server.URL + ": the server says " + want))
			g.Expect(requests.Load()).To(BeEquivalentTo(1))
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	g := NewWithT(t)
	var requests atomic.Int32
	server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { requests.Add(1); w.WriteHeader(503) })
	c := client(t, steps.TLSFiles{}, impatient())
	_, err := download(t, c, Download{URL: server.URL})
	g.Expect(err).To(MatchError(ContainSubstring("503 Service Unavailable")))
	g.Expect(requests.Load()).To(BeNumerically(">=", 1))

	server.Close()
	_, err = download(t, c, Download{URL: server.URL})
	g.Expect(err).To(MatchError("the app package at " + server.URL + ": nothing listens there"))
}

func TestDownloadsAreBounded(t *testing.T) {
	g := NewWithT(t)
	announced := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "11")
		fmt.Fprint(w, "12345678901")
	})
	endless := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := fmt.Fprint(w, strings.Repeat("x", 1000)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	})
	c := client(t, steps.TLSFiles{}, hasty())
	for _, server := range []string{announced.URL, endless.URL} {
		text, err := download(t, c, Download{URL: server, MaxBytes: 10})
		g.Expect(err).To(MatchError(ContainSubstring("it has more than 10 bytes")))
		g.Expect(len(text)).To(BeNumerically("<=", 11))
	}
	g.Expect(download(t, c, Download{URL: announced.URL, MaxBytes: 11})).To(Equal("12345678901"))
}

func TestNothingSecretIsSaid(t *testing.T) {
	g := NewWithT(t)
	c := client(t, steps.TLSFiles{}, impatient())
	echo := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
		fmt.Fprintf(w, `{"description":"%s"} %s %s`, r.URL, r.URL, r.Header.Get("Authorization"))
	})
	redirect := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Redirect(w, &http.Request{}, "ftp://user:hunter2@elsewhere/x?sig=s3cret", http.StatusFound)
	})
	gone := steptest.Serve(t, func(http.ResponseWriter, *http.Request) {})
	gone.Close()
	for _, address := range []string{echo.URL, redirect.URL, gone.URL, "http://nowhere.invalid", "https://" + strings.TrimPrefix(echo.URL, "http://"), "ftp://x", "http://%zz", "http://[::1"} {
		text := strings.Replace(address, "://", "://user:hunter2@", 1) + "/path?sig=s3cret&x=s3cret"
		_, err := download(t, c, Download{URL: text})
		g.Expect(err).To(HaveOccurred())
		g.Expect(err.Error()).NotTo(Or(ContainSubstring("hunter2"), ContainSubstring("s3cret"), ContainSubstring("user")), address)
	}
}

func TestClientCertificates(t *testing.T) {
	who := func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprint(w, name)
	}
	for name, c := range map[string]struct {
		auth    tls.ClientAuthType
		handler http.HandlerFunc
		trusted bool
		want    string
		wantErr string
	}{
		"wanted":                   {auth: tls.RequireAndVerifyClientCert, handler: who, trusted: true, want: "client"},
		"welcome":                  {auth: tls.RequestClientCert, handler: who, trusted: true, want: "client"},
		"not asked for":            {auth: tls.NoClientCert, handler: who, trusted: true, want: "nobody"},
		"never for a user's URL":   {auth: tls.RequestClientCert, handler: who, want: "nobody"},
		"wanted for a user's URL":  {auth: tls.RequireAndVerifyClientCert, handler: who, wantErr: "the server refuses the connection"},
		"refused with a status":    {auth: tls.RequestClientCert, handler: onlyWithout(400, who), trusted: true, want: "nobody"},
		"refused with another":     {auth: tls.RequestClientCert, handler: onlyWithout(403, who), trusted: true, want: "nobody"},
		"refused in any case":      {auth: tls.RequestClientCert, handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, trusted: true, wantErr: "403 Forbidden"},
		"not there, with any":      {auth: tls.RequestClientCert, handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, trusted: true, wantErr: "404 Not Found"},
		"of an unknown authority":  {auth: -1, handler: who, trusted: true, want: "nobody"},
		"with a broken first call": {auth: tls.RequireAndVerifyClientCert, handler: brokenOnce(who), trusted: true, want: "client"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := steptest.NewPlatform(t)
			auth := c.auth
			if auth == -1 {
				// The server trusts another authority's clients only, but needs none.
				auth = tls.VerifyClientCertIfGiven
				trusted := p.Pool
				p.Pool = steptest.NewPlatform(t).Pool
				defer func() { p.Pool = trusted }()
			}
			server := p.Serve(t, auth, c.handler)
			got, err := download(t, client(t, p.Files(), hasty()), Download{URL: server.URL, Trusted: c.trusted})
			if c.wantErr != "" {
				g.Expect(err).To(MatchError(ContainSubstring(c.wantErr)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(c.want))
		})
	}
}

func onlyWithout(status int, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			w.WriteHeader(status)
			return
		}
		handler(w, r)
	}
}

func brokenOnce(handler http.HandlerFunc) http.HandlerFunc {
	var called atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) {
		if !called.Swap(true) {
			panic(http.ErrAbortHandler)
		}
		handler(w, r)
	}
}

func TestUnknownServersAreNotTrusted(t *testing.T) {
	g := NewWithT(t)
	var requests atomic.Int32
	server := steptest.NewPlatform(t).Serve(t, tls.NoClientCert, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	_, err := download(t, client(t, steptest.NewPlatform(t).Files(), hasty()), Download{URL: server.URL, Trusted: true})
	g.Expect(err).To(MatchError(ContainSubstring("the server's certificate is not to be trusted")))
	g.Expect(requests.Load()).To(BeZero())
}

// A user's server may have any certificate where the platform allows that; it gets none of ours.
func TestAnyCertificate(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	stranger := steptest.NewPlatform(t).Serve(t, tls.RequestClientCert, func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			t.Error("our certificate was presented")
		}
		_, _ = w.Write([]byte("content"))
	})
	redirecting := steptest.NewPlatform(t).Serve(t, tls.RequestClientCert, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, stranger.URL, http.StatusFound)
	})
	for _, url := range []string{stranger.URL, redirecting.URL} {
		g.Expect(download(t, client(t, p.Files(), hasty()), Download{URL: url, AnyCertificate: true})).To(Equal("content"))
	}
	_, err := download(t, client(t, p.Files(), hasty()), Download{URL: stranger.URL, AnyCertificate: true, Trusted: true})
	g.Expect(err).To(MatchError(ContainSubstring("the server's certificate is not to be trusted")), "the platform's own servers are checked")
}

func TestRedirectsTakeNoCredentialsElsewhere(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	seen := func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "%d certificates, password %q, referrer %q", len(r.TLS.PeerCertificates), password, r.Referer())
	}
	elsewhere := p.Serve(t, tls.RequestClientCert, seen)
	var here string
	mux := http.NewServeMux()
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	mux.HandleFunc("/on", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/back", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, here+"/there", http.StatusSeeOther) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/there", seen)
	server := p.Serve(t, tls.RequestClientCert, mux.ServeHTTP)
	here = server.URL
	address := strings.Replace(server.URL, "://", "://user:hunter2@", 1)

	c := client(t, p.Files(), hasty())
	g.Expect(download(t, c, Download{URL: address + "/away?sig=x", Trusted: true})).To(Equal(`0 certificates, password "", referrer ""`))
	for _, same := range []string{"/on", "/back"} {
		g.Expect(download(t, c, Download{URL: address + same, Trusted: true})).To(Equal(`1 certificates, password "hunter2", referrer ""`))
	}
	_, err := download(t, c, Download{URL: address + "/round", Trusted: true})
	g.Expect(err).To(MatchError(ContainSubstring("redirects too often")))
}

func TestDownloadEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	server := steptest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	_, err := downloadWith(ctx, t, client(t, steps.TLSFiles{}, hasty()), Download{URL: server.URL})
	g.Expect(err).To(MatchError(context.Canceled))
}

func TestFullDiskIsNotTheServersFault(t *testing.T) {
	g := NewWithT(t)
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	disk := t.TempDir()
	g.Expect(syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k")).To(Succeed())
	defer func() { g.Expect(syscall.Unmount(disk, 0)).To(Succeed()) }()
	var requests atomic.Int32
	server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		fmt.Fprint(w, strings.Repeat("x", 1<<18))
	})
	file, err := os.Create(filepath.Join(disk, "file"))
	g.Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	_, err = client(t, steps.TLSFiles{}, hasty()).Download(context.Background(), Download{What: "the app package", URL: server.URL, MaxBytes: 1 << 20}, file)
	g.Expect(steps.IsOutOfDisk(err)).To(BeTrue(), "%v", err)
	g.Expect(requests.Load()).To(BeEquivalentTo(1), "and is not tried again")
}

func TestBadFilesAreNamed(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	quiet := steps.NewUserLog(io.Discard)
	_, err := NewClient(steps.TLSFiles{Authorities: []string{p.File("nothing.pem")}}, nil, hasty(), quiet)
	g.Expect(err).To(MatchError(ContainSubstring("nothing.pem")))
	_, err = NewClient(steps.TLSFiles{Authorities: []string{p.File("client.key")}}, nil, hasty(), quiet)
	g.Expect(err).To(MatchError(ContainSubstring("client.key holds no certificate")))
	_, err = NewClient(steps.TLSFiles{Certificate: p.File("client.pem"), Key: p.File("server.key")}, nil, hasty(), quiet)
	g.Expect(err).To(MatchError(ContainSubstring("load the client certificate")))
}
