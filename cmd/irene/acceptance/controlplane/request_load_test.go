//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

const (
	clientsPerRouter = 2
	// requestPause keeps clients from using up the machine.
	requestPause = 2 * time.Millisecond
	// longestLoad bounds a load whatever becomes of its spec.
	longestLoad = 5 * time.Minute
)

// load is clients that send one request after another through both routers, and what
// became of the requests.
type load struct {
	app, url string
	end      context.CancelFunc
	clients  sync.WaitGroup

	mutex sync.Mutex
	sent  int
	// answers are counted by instance.
	answers map[string]int
	// faults are requests that failed, or were answered by another app.
	faults []string
}

// load begins to send requests to a host of an app.
func (r *routing) load(d cloudcontroller.Desire, host string) *load {
	ctx, end := context.WithTimeout(context.Background(), longestLoad)
	l := &load{app: d["app_name"].(string), url: "http://" + host, end: end, answers: map[string]int{}}
	DeferCleanup(func() { l.stop() })
	for _, w := range r.routers {
		for range clientsPerRouter {
			l.clients.Go(func() { l.run(ctx, w.Client()) })
		}
	}
	return l
}

func (l *load) run(ctx context.Context, client *http.Client) {
	ticker := time.NewTicker(requestPause)
	defer ticker.Stop()
	for ctx.Err() == nil {
		// A request that was sent is waited for: it's the app's to fail, not the end's.
		instance, err := l.ask(client)
		l.mutex.Lock()
		l.sent++
		if err != nil {
			l.faults = append(l.faults, fmt.Sprintf("%s: %s", time.Now().Format("05.000"), err))
		} else {
			l.answers[instance]++
		}
		l.mutex.Unlock()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// ask sends a request and says which instance answered it.
func (l *load) ask(client *http.Client) (instance string, err error) {
	response, err := client.Get(l.url)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	if closeErr := response.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d %s: %s", response.StatusCode, response.Header.Get("X-Cf-RouterError"), body)
	}
	var from controlplane.Identity
	if err := json.Unmarshal(body, &from); err != nil {
		return "", fmt.Errorf("answer %q: %w", body, err)
	}
	if from.App != l.app {
		return "", fmt.Errorf("%s was answered by %s", l.app, from.App)
	}
	return from.Instance, nil
}

// goesOn waits until that many more requests were sent.
func (l *load) goesOn(more int) {
	GinkgoHelper()
	count := func() int {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		return l.sent
	}
	Eventually(count).Should(BeNumerically(">=", count()+more))
}

// stop ends the load and returns what failed.
func (l *load) stop() []string {
	l.end()
	l.clients.Wait()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.faults
}

// lostNothing ends the load, tells its figures, and wants all requests answered, by
// that many instances.
func (l *load) lostNothing(instances int) {
	GinkgoHelper()
	faults := l.stop()
	AddReportEntry(fmt.Sprintf("%s: %d requests, %d failed or misled, answered by %d instances", l.app, l.sent, len(faults), len(l.answers)))
	Expect(faults).To(BeEmpty())
	Expect(l.answers).To(HaveLen(instances))
}
