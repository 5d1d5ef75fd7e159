package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
)

func TestBodyLimit(t *testing.T) {
	g := NewWithT(t)
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var tooLarge *http.MaxBytesError
		if _, err := io.Copy(io.Discard, r.Body); errors.As(err, &tooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	service := start(t, api, nil, func(c *Configuration) { c.Listen.MaxBodyBytes = 10 })
	post := func(body io.Reader) *http.Response {
		response, err := http.Post(service.apiURL("http", "/"), "application/x-www-form-urlencoded", body)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(response.Body.Close()).To(Succeed())
		return response
	}
	g.Expect(post(strings.NewReader("0123456789")).StatusCode).To(Equal(200))
	response := post(strings.NewReader("0123456789a"))
	g.Expect(response.StatusCode).To(Equal(413))
	g.Expect(response.Close).To(BeTrue(), "the rest of the body isn't read")
	g.Expect(post(io.MultiReader(strings.NewReader("0123456789a"))).StatusCode).To(Equal(413), "of a length that isn't told")
}

func TestPanicsAreAnswered(t *testing.T) {
	g := NewWithT(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/early", func(http.ResponseWriter, *http.Request) { panic("ouch") })
	mux.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 1<<20))
		panic("ouch")
	})
	service := start(t, mux, nil, nil)
	status, body, err := get(http.DefaultClient, service.apiURL("http", "/early"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(500))
	g.Expect(body).To(MatchJSON(`{"error":{"message":"internal error; the log of irene has the details"},"message":"internal error; the log of irene has the details"}`))
	g.Eventually(service.log).Should(gbytes.Say(`"error":"ouch".*server_test.go`))

	_, _, err = get(http.DefaultClient, service.apiURL("http", "/late"))
	g.Expect(err).To(HaveOccurred(), "half an answer isn't passed off as a whole one")

	g.Eventually(service.metrics).Should(And(
		ContainSubstring(`irene_http_requests_total{code="500",method="GET",route="/early"} 1`),
		ContainSubstring(`irene_http_requests_total{code="499",method="GET",route="/late"} 1`),
	))
}

func TestAccessLogAndMetrics(t *testing.T) {
	g := NewWithT(t)
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /apps/{guid}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	service := start(t, mux, nil, nil)
	request, err := http.NewRequest(http.MethodPut, service.apiURL("http", "/apps/the-guid?token=query-secret"), strings.NewReader("body-secret"))
	g.Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(response.Body.Close()).To(Succeed())
	request, err = http.NewRequest("SPELL", service.apiURL("http", "/apps/the-guid"), http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	response, err = http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(response.Body.Close()).To(Succeed())

	g.Eventually(func() string { return string(service.log.Contents()) }).Should(And(
		MatchRegexp(`"message":"irene.http.request".*"method":"PUT","path":"/apps/the-guid","remote":"127.0.0.1:\d+","route":"PUT /apps/{guid}","seconds":[\d.e-]+,"session":"\d+","status":202`),
		MatchRegexp(`"method":"SPELL".*"status":405`),
		Not(ContainSubstring("secret")),
	))
	g.Eventually(service.metrics).Should(And(
		ContainSubstring(`irene_http_requests_total{code="202",method="PUT",route="PUT /apps/{guid}"} 1`),
		ContainSubstring(`irene_http_requests_total{code="405",method="other",route="none"} 1`),
		ContainSubstring(`irene_http_request_seconds_count{route="PUT /apps/{guid}"} 1`),
		ContainSubstring("go_goroutines"),
		ContainSubstring("process_start_time_seconds"),
	))
}
