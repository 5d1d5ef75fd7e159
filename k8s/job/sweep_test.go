package job_test

import (
	"context"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/irene-cf/irene/k8s/keys"
)

// A Secret goes once its Job's outcome was answered, or when it has no Job and is old
// enough.
func TestSweep(t *testing.T) {
	g := NewWithT(t)
	var objects, metadata []runtime.Object
	seen := func(apiVersion, kind string, meta metav1.ObjectMeta) {
		metadata = append(metadata, &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}, ObjectMeta: meta})
	}
	add := func(guid string, age time.Duration, annotations map[string]string, withJob bool) {
		of := newJob(guid)
		of.Annotations = annotations
		secret := newSecret(of, "value")
		secret.CreationTimestamp = metav1.NewTime(now.Add(-age))
		objects = append(objects, secret)
		seen("v1", "Secret", secret.ObjectMeta)
		if withJob {
			objects = append(objects, of)
			seen("batch/v1", "Job", of.ObjectMeta)
		}
	}
	add("running", time.Hour, nil, true)
	add("ended", time.Hour, map[string]string{keys.Outcome: "{}"}, true)
	add("answered", time.Hour, map[string]string{keys.Outcome: "{}", keys.OutcomeAnswer: "200 x"}, true)
	add("on-its-way", time.Second, nil, false)
	add("orphan", time.Hour, nil, false)
	// Its Job came after the lists.
	add("late", time.Hour, nil, false)
	objects = append(objects, newJob("late"))

	w := newWorld(t, objects, metadata...)
	life, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Sweep(life) }()
	g.Eventually(func() []string {
		left, err := w.client.CoreV1().Secrets("cf-apps").List(t.Context(), metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		names := []string{}
		for _, secret := range left.Items {
			names = append(names, secret.Name)
		}
		return names
	}).Should(ConsistOf("thing-running", "thing-ended", "thing-on-its-way", "thing-late"))
	end()
	g.Expect(<-ended).To(Succeed())
	g.Expect(testutil.GatherAndCompare(w.registered, strings.NewReader(`# HELP thing_secrets_removed_total Secrets of things that were deleted because nothing needed them any more.
# TYPE thing_secrets_removed_total counter
thing_secrets_removed_total 2
# HELP thing_sweep_failures_total Sweeps over Secrets of things that failed, at least in part, and are tried again.
# TYPE thing_sweep_failures_total counter
thing_sweep_failures_total 0
`))).To(Succeed())
}
