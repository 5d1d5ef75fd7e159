package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// serveBounded serves handler with at most limit connections and returns its address.
func serveBounded(t *testing.T, limit int, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	boundConnections(server.Config, limit)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// hasEnded reports whether the server has closed the connection.
func hasEnded(connection net.Conn) func() bool {
	return func() bool {
		_ = connection.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := connection.Read(make([]byte, 1))
		timeout, ok := err.(net.Error)
		return err != nil && (!ok || !timeout.Timeout())
	}
}

func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	g := NewWithT(t)
	address := serveBounded(t, 4, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	var silent []net.Conn
	for range 20 {
		connection := dial(t, address)
		_, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: ")
		g.Expect(err).NotTo(HaveOccurred())
		silent = append(silent, connection)
	}
	for range 10 {
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + address)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(answer.Body.Close()).To(Succeed())
		g.Expect(answer.StatusCode).To(Equal(http.StatusOK))
	}
	for i, connection := range silent[:16] {
		g.Eventually(hasEnded(connection), "30s").Should(BeTrue(), "connection %d", i)
	}
}

func TestRunningRequestsAreNotCutOff(t *testing.T) {
	g := NewWithT(t)
	entered, release := make(chan struct{}), make(chan struct{})
	address := serveBounded(t, 2, func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		fmt.Fprint(w, "ok")
	})
	var running []net.Conn
	for range 2 {
		connection := dial(t, address)
		_, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: irene\r\nConnection: close\r\n\r\n")
		g.Expect(err).NotTo(HaveOccurred())
		g.Eventually(entered, "30s").Should(Receive())
		running = append(running, connection)
	}
	g.Eventually(hasEnded(dial(t, address)), "30s").Should(BeTrue(), "the one above the limit")
	close(release)
	for _, connection := range running {
		g.Expect(connection.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
		answer, err := io.ReadAll(connection)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(answer)).To(HavePrefix("HTTP/1.1 200 OK"))
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	g := NewWithT(t)
	address := serveBounded(t, 4, func(http.ResponseWriter, *http.Request) {})
	for _, fill := range []struct {
		bytes int
		want  int
	}{{8 << 10, http.StatusOK}, {64 << 10, http.StatusRequestHeaderFieldsTooLarge}} {
		request, err := http.NewRequest(http.MethodGet, "http://"+address, nil)
		g.Expect(err).NotTo(HaveOccurred())
		request.Header.Set("X-Fill", strings.Repeat("x", fill.bytes))
		answer, err := http.DefaultClient.Do(request)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(answer.Body.Close()).To(Succeed())
		g.Expect(answer.StatusCode).To(Equal(fill.want))
	}
}
