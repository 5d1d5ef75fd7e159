//go:build bench

package bench_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/devcluster"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/natsserver"
)

const (
	desired   = 300 // LRPs in one round of desires
	inFlight  = 50  // callers at once, as Cloud Controller's sync has
	readers   = 10  // callers at once for instances
	rounds    = 3   // of each side of a comparison, in turn
	namespace = "apps"
	bare      = "bare"
)

// TestBenchmarks prints its results as tables. IRENE_BENCH_LRPS sets the numbers of
// LRPs at which reads, writes and routes are measured on a real API server
// ("100,1000,10000" when it is empty), IRENE_BENCH_FED_LRPS those at which starts, reads
// and memory are measured on lists alone ("1000,10000,100000").
func TestBenchmarks(t *testing.T) {
	b := start(t)
	b.compareDesires(false)
	b.compareDesires(true)
	b.measureFed(numbers(t, "IRENE_BENCH_FED_LRPS", "1000,10000,100000"))
	fmt.Printf("\n| LRPs | operation | rate | p50 | p99 | API-server calls each |\n|---|---|---|---|---|---|\n")
	for _, number := range numbers(t, "IRENE_BENCH_LRPS", "100,1000,10000") {
		b.measureAt(number)
	}
}

// TestBenchmarksOfSync measures Cloud Controller's sync over the BBS door against numbers of
// LRPs, which IRENE_BENCH_SYNC_LRPS sets ("10000" when it is empty).
func TestBenchmarksOfSync(t *testing.T) {
	start(t).measureSync(numbers(t, "IRENE_BENCH_SYNC_LRPS", "10000"))
}

// start starts a cluster with an irene on it, which end with the test.
func start(t *testing.T) *benchmark {
	ctx := t.Context()
	cluster, err := devcluster.Start(ctx, devcluster.Options{FakeNodes: 3}, nil)
	check(t, err)
	t.Cleanup(func() { check(t, cluster.Stop()) })
	client := kubernetesClient(t, cluster)
	for _, name := range []string{namespace, bare} {
		_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		check(t, err)
	}
	bus, err := natsserver.Start(natsserver.Options{})
	check(t, err)
	t.Cleanup(bus.Stop)
	listener := newCrashListener()
	t.Cleanup(listener.Close)
	bin, err := devcluster.FindBin("")
	check(t, err)
	log, err := os.Create(filepath.Join(t.TempDir(), "irene.log"))
	check(t, err)
	options := ireneprocess.Options{
		Binary: filepath.Join(bin, "irene"), Dir: t.TempDir(), Kubeconfig: cluster.Kubeconfig, Namespace: namespace,
		// Image users are not asked for: there is no registry here.
		Settings: map[string]any{
			"apps":             map[string]any{"user_namespaces": "on"},
			"observe":          map[string]any{"profiling": true},
			"nats":             map[string]any{"servers": []string{bus.URL()}},
			"cloud_controller": map[string]any{"url": listener.URL},
		},
		Log: log,
	}
	irene, err := ireneprocess.Start(ctx, options)
	check(t, err)
	t.Cleanup(func() { check(t, irene.Stop()) })
	irene.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}, Timeout: time.Minute}
	return &benchmark{T: t, ctx: ctx, options: options, irene: irene, client: client, bus: bus, crashes: listener}
}

// numbers reads a list of numbers from an environment variable.
func numbers(t *testing.T, variable, standard string) (numbers []int) {
	for text := range strings.SplitSeq(cmp.Or(os.Getenv(variable), standard), ",") {
		number, err := strconv.Atoi(text)
		check(t, err)
		numbers = append(numbers, number)
	}
	return numbers
}

type benchmark struct {
	*testing.T
	ctx     context.Context
	options ireneprocess.Options
	irene   *ireneprocess.Process
	client  kubernetes.Interface
	bus     *natsserver.Server
	crashes *crashListener
	lrps    []cloudcontroller.Desire
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func kubernetesClient(t *testing.T, cluster *devcluster.Cluster) kubernetes.Interface {
	config, err := cluster.RESTConfig()
	check(t, err)
	config.QPS = -1
	config.ContentType = runtime.ContentTypeProtobuf
	client, err := kubernetes.NewForConfig(config)
	check(t, err)
	return client
}

// compareDesires desires LRPs through Irene and writes the same objects with a bare
// client, in turn.
func (b *benchmark) compareDesires(withSecret bool) {
	title := "docker app without secrets (1 write)"
	if withSecret {
		title = "docker app with secret environment (2 writes)"
	}
	fmt.Printf("\nDesire %d LRPs, %d in flight: %s\n\n| round | bare client | | irene | | irene / bare (rate) |\n|---|---|---|---|---|---|\n", desired, inFlight, title)
	for round := range rounds {
		// The sides take turns in being first.
		var bareTimes, ireneTimes timings
		lrps := b.requests(desired, withSecret)
		if round%2 == 0 {
			ireneTimes = b.desire(lrps)
			bareTimes = b.copyBare(lrps)
		} else {
			// Objects to copy come from a round that is not measured.
			b.desire(lrps)
			bareTimes = b.copyBare(lrps)
			b.stop(lrps)
			lrps = b.requests(desired, withSecret)
			ireneTimes = b.desire(lrps)
		}
		fmt.Printf("| %d | %.0f/s | p50 %s | %.0f/s | p50 %s, p99 %s | %.2f |\n", round+1, bareTimes.rate(), bareTimes.percentile(50),
			ireneTimes.rate(), ireneTimes.percentile(50), ireneTimes.percentile(99), ireneTimes.rate()/bareTimes.rate())
		b.stop(lrps)
		b.emptyBare()
	}
}

func (b *benchmark) requests(number int, withSecret bool) []cloudcontroller.Desire {
	lrps := make([]cloudcontroller.Desire, 0, number)
	for i := range number {
		lrp := cloudcontroller.NewDocker(fmt.Sprintf("app-%d", i), "127.0.0.1:1/org/image:v1")
		if withSecret {
			lrp = lrp.Env("SECRET", "value")
		}
		lrps = append(lrps, lrp)
	}
	return lrps
}

func (b *benchmark) desire(lrps []cloudcontroller.Desire) timings {
	return b.parallel(len(lrps), inFlight, func(i int) error {
		answer, err := b.irene.Desire(b.ctx, lrps[i])
		return expect(http.StatusAccepted, answer, err)
	})
}

func (b *benchmark) stop(lrps []cloudcontroller.Desire) timings {
	return b.parallel(len(lrps), inFlight, func(i int) error {
		answer, err := b.irene.Client.Stop(b.ctx, lrps[i].GUID(), lrps[i].Version())
		return expect(http.StatusOK, answer, err)
	})
}

// copyBare creates in another namespace what Irene created for these LRPs.
func (b *benchmark) copyBare(lrps []cloudcontroller.Desire) timings {
	wanted := map[string]bool{}
	for _, lrp := range lrps {
		wanted[lrp.GUID()] = true
	}
	sets, err := b.client.AppsV1().StatefulSets(namespace).List(b.ctx, metav1.ListOptions{})
	check(b.T, err)
	secrets, err := b.client.CoreV1().Secrets(namespace).List(b.ctx, metav1.ListOptions{})
	check(b.T, err)
	secretOf := map[string]*corev1.Secret{}
	for i := range secrets.Items {
		secrets.Items[i].ObjectMeta = fresh(secrets.Items[i].ObjectMeta)
		secretOf[secrets.Items[i].Labels["cloudfoundry.org/guid"]] = &secrets.Items[i]
	}
	var copies []*appsv1.StatefulSet
	for i := range sets.Items {
		set := &sets.Items[i]
		if wanted[set.Labels["cloudfoundry.org/guid"]] {
			set.ObjectMeta, set.Status = fresh(set.ObjectMeta), appsv1.StatefulSetStatus{}
			copies = append(copies, set)
		}
	}
	if len(copies) != len(lrps) {
		b.Fatalf("%d StatefulSets for %d LRPs", len(copies), len(lrps))
	}
	return b.parallel(len(copies), inFlight, func(i int) error {
		if secret := secretOf[copies[i].Labels["cloudfoundry.org/guid"]]; secret != nil {
			if _, err := b.client.CoreV1().Secrets(bare).Create(b.ctx, secret, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		_, err := b.client.AppsV1().StatefulSets(bare).Create(b.ctx, copies[i], metav1.CreateOptions{})
		return err
	})
}

func fresh(meta metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: bare, Name: meta.Name, Labels: meta.Labels, Annotations: meta.Annotations}
}

// emptyBare removes what copyBare made and waits until all pods are gone, so that
// rounds don't meet each other's.
func (b *benchmark) emptyBare() {
	all := metav1.ListOptions{}
	background := metav1.DeletePropagationBackground
	check(b.T, b.client.AppsV1().StatefulSets(bare).DeleteCollection(b.ctx, metav1.DeleteOptions{PropagationPolicy: &background}, all))
	check(b.T, b.client.CoreV1().Secrets(bare).DeleteCollection(b.ctx, metav1.DeleteOptions{}, all))
	for _, name := range []string{namespace, bare} {
		b.await(func() bool {
			pods, err := b.client.CoreV1().Pods(name).List(b.ctx, metav1.ListOptions{Limit: 1})
			check(b.T, err)
			return len(pods.Items) == 0
		})
	}
}

// await polls until done; the test's own time limit bounds it.
func (b *benchmark) await(done func() bool) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			b.Fatal(b.ctx.Err())
		}
	}
}

// measureAt fills up to number LRPs of one instance each, waits until all run, and
// measures every operation.
func (b *benchmark) measureAt(number int) {
	more := b.requests(number-len(b.lrps), false)
	b.desire(more)
	b.lrps = append(b.lrps, more...)
	start := time.Now()
	b.await(func() bool {
		sets, err := b.client.AppsV1().StatefulSets(namespace).List(b.ctx, metav1.ListOptions{})
		check(b.T, err)
		for _, set := range sets.Items {
			if set.Status.ReadyReplicas != 1 {
				return false
			}
		}
		return len(sets.Items) == number
	})
	b.Logf("%d LRPs were ready %s after the last desire", number, time.Since(start).Round(time.Second))

	b.measureStart(number)
	listed, err := b.irene.List(b.ctx)
	check(b.T, err)
	if len(listed) != number {
		b.Fatalf("%d LRPs are listed of %d", len(listed), number)
	}
	b.report(number, "list", 20, 1, func(int) error {
		answer, err := b.irene.Call(b.ctx, http.MethodGet, "/apps", nil)
		return expect(http.StatusOK, answer, err)
	})
	b.report(number, "get", 1000, readers, func(i int) error {
		lrp := b.lrps[i%number]
		answer, err := b.irene.Get(b.ctx, lrp.GUID(), lrp.Version())
		return expect(http.StatusOK, answer, err)
	})
	b.report(number, "instances", 1000, readers, func(i int) error {
		lrp := b.lrps[i%number]
		states, err := b.irene.States(b.ctx, lrp.GUID(), lrp.Version())
		if err == nil && (len(states) != 1 || states[0] != "RUNNING") {
			err = fmt.Errorf("states are %v", states)
		}
		return err
	})
	b.report(number, "update", 300, inFlight, func(i int) error {
		lrp := b.lrps[i%number]
		answer, err := b.irene.Update(b.ctx, lrp.GUID(), lrp.Version(), map[string]any{"instances": 1, "annotation": fmt.Sprint("updated.", i)})
		return expect(http.StatusOK, answer, err)
	})
	b.measureRoutes(number)
	b.measureCrashes(number)
	again := b.requests(desired, false)
	b.report(number, "desire", desired, inFlight, func(i int) error {
		answer, err := b.irene.Desire(b.ctx, again[i])
		return expect(http.StatusAccepted, answer, err)
	})
	b.report(number, "desire again", desired, inFlight, func(i int) error {
		answer, err := b.irene.Desire(b.ctx, again[i])
		return expect(http.StatusAccepted, answer, err)
	})
	b.report(number, "stop", desired, inFlight, func(i int) error {
		answer, err := b.irene.Client.Stop(b.ctx, again[i].GUID(), again[i].Version())
		return expect(http.StatusOK, answer, err)
	})
}

func (b *benchmark) report(number int, operation string, calls, callers int, call func(int) error) {
	before := b.apiCalls()
	times := b.parallel(calls, callers, call)
	made := float64(b.apiCalls()-before) / float64(calls)
	fmt.Printf("| %d | %s, %d callers | %.0f/s | %s | %s | %.2f |\n", number, operation, callers,
		times.rate(), times.percentile(50), times.percentile(99), made)
}

// apiCalls is how many calls Irene has made to the API server about apps, the
// renewing of its Lease and the opening of watches left out.
func (b *benchmark) apiCalls() int { return b.apiCallsOf(b.irene) }

func (b *benchmark) apiCallsOf(irene *ireneprocess.Process) int {
	text, err := irene.Metrics(b.ctx)
	check(b.T, err)
	total := 0.0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "irene_kubernetes_calls_total{") || strings.Contains(line, `resource="leases"`) || strings.Contains(line, `verb="watch"`) {
			continue
		}
		count, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64)
		check(b.T, err)
		total += count
	}
	return int(total)
}

func expect(status int, answer cloudcontroller.Answer, err error) error {
	if err == nil && answer.Status != status {
		return fmt.Errorf("status %d instead of %d: %s", answer.Status, status, answer.Body)
	}
	return err
}

// parallel makes calls with so many callers at once and times each. Any error ends
// the benchmark.
func (b *benchmark) parallel(calls, callers int, call func(int) error) timings {
	b.Helper()
	times := timings{each: make([]time.Duration, calls)}
	errs := make([]error, calls)
	next := make(chan int)
	var group sync.WaitGroup
	start := time.Now()
	for range callers {
		group.Go(func() {
			for i := range next {
				began := time.Now()
				errs[i] = call(i)
				times.each[i] = time.Since(began)
			}
		})
	}
	for i := range calls {
		next <- i
	}
	close(next)
	group.Wait()
	times.all = time.Since(start)
	for _, err := range errs {
		check(b.T, err)
	}
	return times
}
