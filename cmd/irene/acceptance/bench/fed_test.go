//go:build bench

package bench_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

// measureFed measures starts, reads and memory of an irene whose API server has that
// many LRPs and says nothing more.
func (b *benchmark) measureFed(numbers []int) {
	from := b.original()
	fmt.Printf("\nOn lists of an API server that says nothing more, one instance and one Secret each:\n\n" +
		"| LRPs | ready after | heap in use | resident | list p50 | p99 | get p50 | p99 | instances p50 | p99 | API-server calls for reads |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, number := range numbers {
		b.measureFedAt(from, number)
	}
}

func (b *benchmark) measureFedAt(from original, number int) {
	server, identities := newFedAPIServer(b.T, from, number)
	options := b.options
	options.Kubeconfig = server.kubeconfig(b.T)
	start := time.Now()
	irene, err := ireneprocess.Start(b.ctx, options)
	check(b.T, err)
	ready := time.Since(start)
	defer func() { check(b.T, irene.Stop()) }()
	irene.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: readers}, Timeout: time.Minute}

	before := server.calls.Load()
	listed, err := irene.List(b.ctx)
	check(b.T, err)
	if len(listed) != number {
		b.Fatalf("%d LRPs are listed of %d", len(listed), number)
	}
	// Up to the last byte; what the caller makes of them is its own affair.
	lists := b.parallel(20, 1, func(int) error {
		answer, err := irene.Call(b.ctx, http.MethodGet, "/apps", nil)
		return expect(http.StatusOK, answer, err)
	})
	gets := b.parallel(1000, readers, func(i int) error {
		id := identities[i*7919%number]
		answer, err := irene.Get(b.ctx, id.guid, id.version)
		return expect(http.StatusOK, answer, err)
	})
	instances := b.parallel(1000, readers, func(i int) error {
		id := identities[i*7919%number]
		states, err := irene.States(b.ctx, id.guid, id.version)
		if err == nil && (len(states) != 1 || states[0] != "RUNNING") {
			err = fmt.Errorf("states are %v", states)
		}
		return err
	})
	asked := server.calls.Load() - before
	heap, resident := b.memory(irene)
	fmt.Printf("| %d | %.1f s | %.0f MB | %.0f MB | %s | %s | %s | %s | %s | %s | %d |\n", number, ready.Seconds(), heap/1e6, resident/1e6,
		lists.percentile(50), lists.percentile(99), gets.percentile(50), gets.percentile(99), instances.percentile(50), instances.percentile(99), asked)
}

// measureStart starts another replica, as an upgrade does, and measures how soon it is
// ready and how much memory it needs.
func (b *benchmark) measureStart(number int) {
	start := time.Now()
	replica, err := ireneprocess.Start(b.ctx, b.options)
	check(b.T, err)
	ready := time.Since(start)
	heap, resident := b.memory(replica)
	check(b.T, replica.Stop())
	fmt.Printf("| %d | start of a replica: ready after %.1f s, heap %.0f MB, resident %.0f MB | | | | |\n", number, ready.Seconds(), heap/1e6, resident/1e6)
}

// memory is what irene's heap has in use after a collection, and what the process
// occupies, in bytes.
func (b *benchmark) memory(irene *ireneprocess.Process) (heap, resident float64) {
	response, err := http.Get(irene.ObserveURL + "/debug/pprof/heap?gc=1")
	check(b.T, err)
	check(b.T, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		b.Fatalf("collect garbage: %s", response.Status)
	}
	return b.metricOf(irene, "go_memstats_heap_alloc_bytes"), b.metricOf(irene, "process_resident_memory_bytes")
}

func (b *benchmark) metricOf(irene *ireneprocess.Process, name string) float64 {
	text, err := irene.Metrics(b.ctx)
	check(b.T, err)
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			check(b.T, err)
			return number
		}
	}
	b.Fatalf("there is no metric %s", name)
	return 0
}

// original runs one LRP and takes what the real API server has of it.
func (b *benchmark) original() original {
	d := cloudcontroller.NewDocker("original", "127.0.0.1:1/org/image:v1").Env("SECRET", "value")
	answer, err := b.irene.Desire(b.ctx, d)
	check(b.T, expect(http.StatusAccepted, answer, err))
	b.await(func() bool {
		states, err := b.irene.States(b.ctx, d.GUID(), d.Version())
		check(b.T, err)
		return len(states) == 1 && states[0] == "RUNNING"
	})
	from := b.objectsOf(d.GUID())
	answer, err = b.irene.Client.Stop(b.ctx, d.GUID(), d.Version())
	check(b.T, expect(http.StatusOK, answer, err))
	return from
}

// objectsOf returns what the real API server has of an LRP that runs.
func (b *benchmark) objectsOf(guid string) original {
	selector := metav1.ListOptions{LabelSelector: "cloudfoundry.org/guid=" + guid}
	sets, err := b.client.AppsV1().StatefulSets(namespace).List(b.ctx, selector)
	check(b.T, err)
	pods, err := b.client.CoreV1().Pods(namespace).List(b.ctx, selector)
	check(b.T, err)
	secrets, err := b.client.CoreV1().Secrets(namespace).List(b.ctx, selector)
	check(b.T, err)
	if len(sets.Items) != 1 || len(pods.Items) != 1 || len(secrets.Items) != 1 {
		b.Fatalf("an LRP has %d StatefulSets, %d pods and %d Secrets", len(sets.Items), len(pods.Items), len(secrets.Items))
	}
	node, err := b.client.CoreV1().Nodes().Get(b.ctx, pods.Items[0].Spec.NodeName, metav1.GetOptions{})
	check(b.T, err)
	secret := metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: secrets.Items[0].ObjectMeta,
	}
	return original{set: sets.Items[0], pod: pods.Items[0], secret: secret, node: *node}
}
