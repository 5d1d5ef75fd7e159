//go:build node

package node_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// The router tries every request once, so that each that meets a pod which is gone
// is seen.
var _ = Describe("requests through the router", func() {
	It("reach an app as soon as it is ready, and each instance by its index", func(ctx SpecContext) {
		a := cloud.push(ctx, newBuildpackApp("routed").With("instances", 2.0).Routes("routed.apps.example.com/env", 8080))
		Eventually(a.states).WithContext(ctx).WithPolling(5 * time.Millisecond).Should(ContainElement("RUNNING"))
		running := time.Now()
		Eventually(func() (string, error) { return askByName(ctx, "routed.apps.example.com", "/env/CF_INSTANCE_INDEX", "") }).
			WithContext(ctx).WithPolling(2 * time.Millisecond).Should(Not(BeEmpty()))
		AddReportEntry("RUNNING → answered through the router", time.Since(running).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		a.awaitRunning(ctx)
		for index := range 2 {
			Eventually(func() (string, error) {
				return askByName(ctx, "routed.apps.example.com", "/env/CF_INSTANCE_INDEX", fmt.Sprintf("%s:%d", a.Desire["app_guid"], index))
			}).WithContext(ctx).Should(Equal(fmt.Sprint(index)))
		}
		_, err := askByName(ctx, "routed.apps.example.com", "/", "")
		Expect(err).To(MatchError(ContainSubstring("unknown_route")))
	}, SpecTimeout(2*time.Minute))

	It("all get an answer while the app is scaled down and an instance is stopped", func(ctx SpecContext) {
		a := cloud.run(ctx, newBuildpackApp("drained").With("instances", 4.0))
		a.awaitRouted(ctx, HaveLen(4))
		load := startLoad(ctx, "drained.apps.example.com")

		a.scale(ctx, 1)
		Eventually(a.pods).WithContext(ctx).Should(HaveLen(1))
		load.report("scaled from 4 to 1")

		a.scale(ctx, 2)
		a.awaitRunning(ctx)
		before, err := a.uids(ctx)
		Expect(err).NotTo(HaveOccurred())
		answer, err := cloud.StopInstance(ctx, a.GUID(), a.Version(), "0")
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusOK), answer.Message())
		Eventually(a.uids).WithContext(ctx).Should(And(HaveLen(2), Not(Equal(before))))
		a.awaitRunning(ctx)
		load.report("stopped an instance")
		load.stop()
	}, SpecTimeout(3*time.Minute))

	It("all get an answer in a rolling deployment", func(ctx SpecContext) {
		old := cloud.run(ctx, newBuildpackApp("rolled").With("instances", 3.0).Env("RELEASE", "old"))
		old.awaitRouted(ctx, HaveLen(3))
		load := startLoad(ctx, "rolled.apps.example.com")

		// As Cloud Controller does it: another process of the same app with the same
		// routes grows while the first one shrinks.
		fresh := cloud.run(ctx, old.Desire.Clone().
			Identify(cloudcontroller.NewGUID(), cloudcontroller.NewGUID()).
			With("instances", 1.0).Env("RELEASE", "new"))
		for left := 2; left > 0; left-- {
			old.scale(ctx, left)
			fresh.scale(ctx, 4-left)
			fresh.awaitRunning(ctx)
		}
		answer, err := cloud.Process.Client.Stop(ctx, old.GUID(), old.Version())
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusOK), answer.Message())
		Eventually(old.objects).WithContext(ctx).Should(BeEmpty())
		load.report("rolled over 3 instances")
		load.stop()
		Expect(askByName(ctx, "rolled.apps.example.com", "/env/RELEASE", "")).To(Equal("new"))
	}, SpecTimeout(3*time.Minute))
})

// awaitRouted waits until the router has the endpoints of the app's only route.
func (a *app) awaitRouted(ctx context.Context, matcher types.GomegaMatcher) {
	GinkgoHelper()
	host := fmt.Sprintf("%s.apps.example.com", a.Desire["app_name"])
	Eventually(func() any { return node.router.Endpoints(host) }).WithContext(ctx).Should(matcher)
}

// askByName sends GET through the router. instance is "<app guid>:<index>", or
// empty for any.
func askByName(ctx context.Context, host, path, instance string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		return "", err
	}
	if instance != "" {
		request.Header.Set("X-Cf-App-Instance", instance)
	}
	answer, err := node.router.Client().Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // only read
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s%s: status %d %s: %s", host, path, answer.StatusCode, answer.Header.Get("X-Cf-RouterError"), text)
	}
	return string(text), err
}

// load is requests for one host, one after the other from each of several clients:
// short ones, and some that take a second.
type load struct {
	name     string
	cancel   context.CancelFunc
	clients  sync.WaitGroup
	mutex    sync.Mutex
	answered int
	failures []error
}

// startLoad asks until stop, or the end of the spec.
func startLoad(ctx context.Context, host string) *load {
	// What is under way when the load ends is waited for, so its context is not cut.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &load{name: host, cancel: cancel}
	for client := range 6 {
		path := "/"
		if client == 0 {
			path = "/slow?seconds=1"
		}
		l.clients.Go(func() {
			pause := time.NewTicker(10 * time.Millisecond)
			defer pause.Stop()
			for {
				select {
				case <-running.Done():
					return
				case <-pause.C:
					l.note(askByName(context.WithoutCancel(ctx), host, path, ""))
				}
			}
		})
	}
	DeferCleanup(func() {
		cancel()
		l.clients.Wait()
	})
	return l
}

func (l *load) note(_ string, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err != nil {
		l.failures = append(l.failures, err)
		return
	}
	l.answered++
}

// report shows how many requests were answered so far; all must have been.
func (l *load) report(what string) {
	GinkgoHelper()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	AddReportEntry(l.name+": "+what, fmt.Sprintf("%d answered, %d failed", l.answered, len(l.failures)), ReportEntryVisibilityAlways)
	Expect(l.failures).To(BeEmpty())
	Expect(l.answered).To(BeNumerically(">", 100))
}

// stop lets the requests under way end; they too must be answered.
func (l *load) stop() {
	GinkgoHelper()
	l.cancel()
	l.clients.Wait()
	l.report("at the end")
}
