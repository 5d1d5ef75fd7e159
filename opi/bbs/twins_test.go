package bbs_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// sendLater posts a body from another goroutine.
func (d *door) sendLater(ctx context.Context, path, requestID string, body []byte) <-chan *httptest.ResponseRecorder {
	answers := make(chan *httptest.ResponseRecorder, 1)
	request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)).WithContext(ctx)
	request.Header.Set("X-Vcap-Request-Id", requestID)
	go func() {
		answer := httptest.NewRecorder()
		d.ServeHTTP(answer, request)
		answers <- answer
	}()
	return answers
}

// Cloud Controller gives up after 10 s and sends the request again while the first is in work.
func TestTwinsOfAWriteAreJoined(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	begun, release := make(chan struct{}, 10), make(chan struct{})
	p.hold = func(ctx context.Context) error {
		begun <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d := newDoor(p)
	retire := example(g, "12-retire")
	ctx, leave := context.WithCancel(t.Context())
	first := d.sendLater(ctx, "/v1/actual_lrps/retire", "one", retire)
	g.Eventually(begun).Should(Receive())
	leave()
	second := d.sendLater(t.Context(), "/v1/actual_lrps/retire", "one", retire)
	another := d.sendLater(t.Context(), "/v1/actual_lrps/retire", "one", example(g, "13-retire-index-0"))
	g.Eventually(begun).Should(Receive(), "another body is other work")
	user := d.sendLater(t.Context(), "/v1/actual_lrps/retire", "two", retire)
	g.Eventually(begun).Should(Receive(), "another request of a user is other work")
	g.Consistently(begun, 50*time.Millisecond).ShouldNot(Receive(), "the twin waits for the first")

	close(release)
	for _, answers := range []<-chan *httptest.ResponseRecorder{first, second, another, user} {
		var answer *httptest.ResponseRecorder
		g.Eventually(answers).Should(Receive(&answer))
		g.Expect(answer.Code).To(Equal(http.StatusOK))
		g.Expect(answer.Body.Len()).To(BeZero(), "also the first succeeded, although its caller left")
	}
	g.Expect(p.restarted).To(HaveLen(3))
	g.Expect(p.writes).To(Equal(3))
}
