package platform

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
)

func TestRetryAfter(t *testing.T) {
	g := NewWithT(t)
	now := time.Now()
	const longest = 5 * time.Minute
	for text, want := range map[string]struct {
		pause  time.Duration
		within bool
	}{
		"": {0, true}, "7": {7 * time.Second, true}, "300": {longest, true}, "301": {longest, false}, "999999": {longest, false}, "-3": {0, true}, "soon": {0, true},
		now.Add(-time.Hour).UTC().Format(http.TimeFormat): {0, true},
		now.Add(time.Hour).UTC().Format(http.TimeFormat):  {longest, false},
	} {
		pause, within := RetryAfter(http.Header{"Retry-After": {text}}, now, longest)
		g.Expect(pause).To(Equal(want.pause), text)
		g.Expect(within).To(Equal(want.within), text)
	}
}

func TestPausesGrow(t *testing.T) {
	g := NewWithT(t)
	pauses := Backoff{First: time.Second, Longest: 5 * time.Second, Jitter: 0.5}.Pauses()
	for range 2 {
		for i, nominal := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
			g.Expect(pauses.Next()).To(And(BeNumerically(">=", nominal/2), BeNumerically("<=", nominal*3/2)))
			g.Expect(pauses.Failures()).To(Equal(i + 1))
		}
		pauses.Reset()
		g.Expect(pauses.Failures()).To(BeZero())
	}
	unlimited := Backoff{First: time.Second}.Pauses()
	for range 10 {
		unlimited.Next()
	}
	g.Expect(unlimited.Next()).To(Equal(1024 * time.Second))
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		wrong, attempts, began := errors.New("wrong"), 0, time.Now()
		try := func() error { attempts++; return wrong }
		err := Retry(t.Context(), Backoff{First: time.Second}.Pauses(), try, func(err error, pause time.Duration) (time.Duration, bool) {
			g.Expect(err).To(Equal(wrong))
			return pause, attempts < 4
		})
		g.Expect(err).To(Equal(wrong))
		g.Expect(attempts).To(Equal(4))
		g.Expect(time.Since(began)).To(Equal(7 * time.Second))

		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, gone)
		defer cancel()
		err = Retry(ctx, Backoff{}.Pauses(), try, func(error, time.Duration) (time.Duration, bool) { return time.Hour, true })
		g.Expect(err).To(Equal(gone))
		g.Expect(Retry(ctx, Backoff{}.Pauses(), func() error { return nil }, nil)).To(Succeed())
	})
}

// answers is a server's answers in order, the last one for ever: a status, with the seconds
// of Retry-After after a comma, or the text of an error.
type answers struct {
	texts  []string
	bodies []string
}

func (a *answers) RoundTrip(request *http.Request) (*http.Response, error) {
	body := ""
	if request.Body != nil {
		text, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		body = string(text)
	}
	a.bodies = append(a.bodies, body)
	status, retryAfter, _ := strings.Cut(a.texts[min(len(a.bodies), len(a.texts))-1], ",")
	code, err := strconv.Atoi(status)
	if err != nil {
		return nil, errors.New(status)
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {retryAfter}}, Body: http.NoBody, Request: request}, nil
}

func TestRetrying(t *testing.T) {
	for name, test := range map[string]struct {
		answers  []string
		method   string
		once     bool
		want     string
		attempts int
		took     time.Duration
	}{
		"good at once":                    {answers: []string{"200"}, want: "200", attempts: 1},
		"good after failures":             {answers: []string{"500", "502", "429", "200"}, want: "200", attempts: 4, took: 7 * time.Second},
		"never good":                      {answers: []string{"503"}, want: "503", attempts: 5, took: 15 * time.Second},
		"no answer at first":              {answers: []string{"cut off", "200"}, want: "200", attempts: 2, took: time.Second},
		"never an answer":                 {answers: []string{"cut off"}, want: "cut off", attempts: 5, took: 15 * time.Second},
		"a final error":                   {answers: []string{"final"}, want: "final", attempts: 1},
		"a definite answer":               {answers: []string{"404"}, want: "404", attempts: 1},
		"a longer pause is asked for":     {answers: []string{"503,10", "200"}, want: "200", attempts: 2, took: 10 * time.Second},
		"a shorter pause is asked for":    {answers: []string{"503", "503,1", "200"}, want: "200", attempts: 3, took: 3 * time.Second},
		"too long a pause is asked for":   {answers: []string{"429,16"}, want: "429", attempts: 1},
		"a PATCH":                         {answers: []string{"500"}, method: http.MethodPatch, want: "500", attempts: 1},
		"a body that can be read again":   {answers: []string{"500", "200"}, method: http.MethodPut, want: "200", attempts: 2, took: time.Second},
		"a body that can't be read again": {answers: []string{"500"}, method: http.MethodPut, once: true, want: "500", attempts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				server, began := &answers{texts: test.answers}, time.Now()
				transport := Retrying(server, RetryOptions{
					Backoff: Backoff{First: time.Second}, Attempts: 5, LongestRetryAfter: 15 * time.Second,
					Final: func(err error) bool { return err.Error() == "final" },
				})
				method, content := http.MethodGet, ""
				if test.method != "" {
					method, content = test.method, "content"
				}
				request, err := http.NewRequestWithContext(t.Context(), method, "http://host", strings.NewReader(content))
				g.Expect(err).NotTo(HaveOccurred())
				if test.once {
					request.GetBody = nil
				}
				response, err := transport.RoundTrip(request)
				if err == nil {
					g.Expect(strconv.Itoa(response.StatusCode)).To(Equal(test.want))
				} else {
					g.Expect(err).To(MatchError(test.want))
				}
				g.Expect(server.bodies).To(HaveLen(test.attempts))
				g.Expect(server.bodies).To(HaveEach(content))
				g.Expect(time.Since(began)).To(Equal(test.took))
			})
		})
	}
}

func TestRetryingKeepsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		server := &answers{texts: []string{"500"}}
		transport := Retrying(server, RetryOptions{Backoff: Backoff{First: time.Minute}, Attempts: 5})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://host", nil)
		g.Expect(err).NotTo(HaveOccurred())
		response, err := transport.RoundTrip(request)
		g.Expect(err).NotTo(HaveOccurred(), "the answer explains more than a deadline")
		g.Expect(response.StatusCode).To(Equal(500))
		g.Expect(server.bodies).To(HaveLen(2))
	})
}
