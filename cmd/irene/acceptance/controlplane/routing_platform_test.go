//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/natsserver"
	"github.com/irene-cf/irene/fixtures/router"
)

// routing is a platform whose irene tells two routers where instances are, over a
// NATS server that is theirs alone.
type routing struct {
	*controlplane.Platform
	bus     *natsserver.Server
	routers []*witness
}

// newRouting makes a platform for several replicas. The routers get the options'
// times and try one instance per request, so that a client sees every failure.
func newRouting(ctx context.Context, kubeconfig string, times router.Options) *routing {
	GinkgoHelper()
	const user, password = "irene", "secret"
	bus, err := natsserver.Start(natsserver.Options{User: user, Password: password})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(bus.Stop)
	passwordFile := filepath.Join(GinkgoT().TempDir(), "password")
	Expect(os.WriteFile(passwordFile, []byte(password+"\n"), 0o600)).To(Succeed())

	r := &routing{bus: bus, Platform: newPlatform(ctx, kubeconfig, map[string]any{
		"nats": map[string]any{"servers": []string{bus.URL()}, "user": user, "password_file": passwordFile, "reconnect_wait": "100ms"},
		"apps": map[string]any{
			"placement":      map[string]any{"shared": "unlabelled"},
			"pre_stop_sleep": "1s", "termination_grace": "4s",
		},
	})}
	times.NATS, times.User, times.Password, times.Attempts = bus.URL(), user, password, 1
	for range 2 {
		r.routers = append(r.routers, newWitness(times))
	}
	return r
}

// aloneRouting is a platform for one irene that needs no election.
func aloneRouting(ctx context.Context) *routing {
	GinkgoHelper()
	r := newRouting(ctx, direct(), router.Options{})
	r.Settings["leader_election"] = map[string]any{"enabled": false}
	return r
}

// instances are host:port of the app's pods that are ready and stay, sorted.
func (r *routing) instances(ctx context.Context, d cloudcontroller.Desire, port int) []string {
	GinkgoHelper()
	addresses := []string{}
	for _, pod := range r.Pods(ctx, d.GUID()) {
		if pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			addresses = append(addresses, net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(port)))
		}
	}
	slices.Sort(addresses)
	return addresses
}

// routed waits until the app has that many ready instances and all routers know
// exactly these by the URI; it returns their addresses.
func (r *routing) routed(ctx context.Context, d cloudcontroller.Desire, uri string, port, count int) []string {
	GinkgoHelper()
	var found []string
	Eventually(func(g Gomega) {
		found = r.instances(ctx, d, port)
		g.Expect(found).To(HaveLen(count))
		for _, w := range r.routers {
			g.Expect(w.addresses(uri)).To(Equal(found))
		}
	}).Should(Succeed())
	return found
}

// unrouted waits until no router knows the URI.
func (r *routing) unrouted(uri string) {
	GinkgoHelper()
	for _, w := range r.routers {
		Eventually(w.addresses).WithArguments(uri).Should(BeEmpty())
	}
}

// now is how many messages each router has had so far.
func (r *routing) now() []int {
	counts := []int{}
	for _, w := range r.routers {
		counts = append(counts, w.now())
	}
	return counts
}

// witness is a router that remembers, in order, what it was told.
type witness struct {
	*router.Router
	options router.Options

	mutex    sync.Mutex
	messages []router.Message
}

// newWitness starts a router, which ends with the spec.
func newWitness(options router.Options) *witness {
	GinkgoHelper()
	w := &witness{options: options}
	w.options.Observe = func(m router.Message) {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.messages = append(w.messages, m)
	}
	w.begin()
	DeferCleanup(func() { w.Stop() })
	return w
}

func (w *witness) begin() {
	GinkgoHelper()
	var err error
	w.Router, err = router.Start(w.options)
	Expect(err).NotTo(HaveOccurred())
}

// restart ends the router and starts one with an empty table in its place.
func (w *witness) restart() {
	GinkgoHelper()
	w.options.Address = w.Address()
	w.Stop()
	w.begin()
}

// addresses are host:port of a URI's endpoints, sorted.
func (w *witness) addresses(uri string) []string {
	addresses := []string{}
	for _, endpoint := range w.Endpoints(uri) {
		addresses = append(addresses, endpoint.Address())
	}
	slices.Sort(addresses)
	return addresses
}

// now is how many messages there have been so far.
func (w *witness) now() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.messages)
}

// heard are the messages since then that match, in order.
func (w *witness) heard(since int, matches func(router.Message) bool) []router.Message {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	found := []router.Message{}
	for _, m := range w.messages[since:] {
		if matches(m) {
			found = append(found, m)
		}
	}
	return found
}

// hears waits for the first message since then that matches.
func (w *witness) hears(since int, matches func(router.Message) bool) router.Message {
	GinkgoHelper()
	var found []router.Message
	Eventually(func() []router.Message {
		found = w.heard(since, matches)
		return found
	}).WithPolling(5 * time.Millisecond).ShouldNot(BeEmpty())
	return found[0]
}

// registers and unregisters match messages of an endpoint and URI; an empty address
// stands for all, as an empty subject does.
func registers(uri, address string) func(router.Message) bool {
	return concerns("router.register", uri, address)
}

func unregisters(uri, address string) func(router.Message) bool {
	return concerns("router.unregister", uri, address)
}

func concerns(subject, uri, address string) func(router.Message) bool {
	return func(m router.Message) bool {
		return (subject == "" || m.Subject == subject) && slices.Contains(m.Registration.URIs, uri) &&
			(address == "" || m.Registration.Address() == address)
	}
}

// cfRoutes are HTTP routes in the form of requests, all to one port.
func cfRoutes(port int, hostnames ...string) []any {
	list := []any{}
	for _, hostname := range hostnames {
		list = append(list, map[string]any{"hostname": hostname, "port": port})
	}
	return list
}

// reportTimes puts figures into the suite's output.
func reportTimes(what string, times []time.Duration) {
	slices.Sort(times)
	at := func(share float64) time.Duration {
		return times[int(share*float64(len(times)-1))].Round(100 * time.Microsecond)
	}
	AddReportEntry(fmt.Sprintf("%s: p50 %s, p99 %s, longest %s (%d times)", what, at(.5), at(.99), at(1), len(times)))
}
