package registry

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// answer sends a request as it is given, which Go's own client would not, and returns
// the status; 0 if the server has closed the connection before all was sent.
func (s *served) answer(method, path string, headers ...string) int {
	s.t.Helper()
	g := NewWithT(s.t)
	connection, err := net.Dial("tcp", s.host())
	g.Expect(err).NotTo(HaveOccurred())
	defer connection.Close()
	g.Expect(connection.SetDeadline(time.Now().Add(time.Minute))).To(Succeed())
	go func() {
		// The server may close before it has read everything.
		_, _ = fmt.Fprintf(connection, "%s %s HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n%s\r\n", method, path, strings.Join(append(headers, ""), "\r\n"))
	}()
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if errors.Is(err, syscall.ECONNRESET) {
		return 0
	}
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	return response.StatusCode
}

func authorization(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// Whoever reaches the port can send these.
func TestStrangersCostLittle(t *testing.T) {
	deep := func(bytes int) string { return "/v2/" + strings.Repeat("a/", bytes/2) + "manifests/x" }
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		want         int
	}{
		"1 MB of path":           {"GET", deep(1 << 20), nil, http.StatusRequestHeaderFieldsTooLarge},
		"1 MB of header":         {"GET", "/v2/", []string{"X-Long: " + strings.Repeat("x", 1<<20)}, http.StatusRequestHeaderFieldsTooLarge},
		"a long path":            {"GET", deep(12 << 10), nil, http.StatusUnauthorized},
		"a long path and name":   {"GET", deep(6 << 10), []string{authorization(strings.Repeat("n", 6<<10), "x")}, http.StatusUnauthorized},
		"a long method":          {strings.Repeat("M", 12<<10), "/v2/", nil, http.StatusUnauthorized},
		"a wrong password":       {"PUT", deep(12 << 10), []string{authorization(pushUser, "wrong")}, http.StatusUnauthorized},
		"a user who may not":     {"PUT", deep(12 << 10), []string{authorization(pullUser, pullPassword)}, http.StatusForbidden},
		"a long path, permitted": {"GET", deep(12 << 10), []string{authorization(pushUser, pushPassword)}, http.StatusRequestURITooLong},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := serve(t, t.TempDir())
			libraryLogged := len(libraryLog.Contents())
			for range 8 {
				status := s.answer(c.method, c.path, c.headers...)
				if c.want == http.StatusRequestHeaderFieldsTooLarge && status == 0 {
					continue
				}
				g.Expect(status).To(Equal(c.want))
			}
			g.Expect(len(s.log.Contents())).To(BeNumerically("<", 8*1500), "each costs a short line in the log")
			g.Expect(len(libraryLog.Contents())).To(Equal(libraryLogged))
			if c.want != http.StatusRequestHeaderFieldsTooLarge {
				// The server answers the others by itself.
				method := map[string]string{"GET": "GET", "PUT": "PUT"}[c.method]
				if method == "" {
					method = "other"
				}
				g.Eventually(func() float64 {
					return s.metric("irene_registry_requests_total", fmt.Sprintf("code=%d", c.want), "method="+method, "route=unrouted")
				}, time.Minute).Should(BeEquivalentTo(8), "no path is looked at")
			}
		})
	}
}

func TestLongPathsOfAnonymousRequestsAreRefused(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir(), func(o *Options) { o.Users, o.Anonymous = nil, true })
	g.Expect(s.answer("GET", "/v2/"+strings.Repeat("a/", maxPathBytes/2)+"manifests/x")).To(Equal(http.StatusRequestURITooLong))
	longest := "/v2/" + strings.Repeat("a", 127) + "/" + strings.Repeat("b", 127) + "/manifests/sha256:" + strings.Repeat("0", 64)
	g.Expect(s.answer("GET", longest)).To(Equal(http.StatusNotFound))
	g.Eventually(func() float64 {
		return s.metric("irene_registry_requests_total", "code=404", "method=GET", "route=manifest")
	}, time.Minute).Should(BeEquivalentTo(1))
}
