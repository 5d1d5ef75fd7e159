package job_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/irene-cf/irene/k8s/job"
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

	scheme := runtime.NewScheme()
	g.Expect(metav1.AddMetaToScheme(scheme)).To(Succeed())
	sweeper := job.Sweeper{
		Store: newStore(objects...), Metadata: fake.NewSimpleMetadataClient(scheme, metadata...), OrphanMinAge: time.Minute,
		Removed: prometheus.NewCounter(prometheus.CounterOpts{Name: "removed"}), Failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "failures"}),
	}
	life, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sweeper.Run(life) }()
	g.Eventually(func() []string {
		left, err := sweeper.Store.Client.CoreV1().Secrets("cf-apps").List(t.Context(), metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		names := []string{}
		for _, secret := range left.Items {
			names = append(names, secret.Name)
		}
		return names
	}).Should(ConsistOf("thing-running", "thing-ended", "thing-on-its-way", "thing-late"))
	end()
	g.Expect(<-ended).To(Succeed())
	g.Expect(testutil.ToFloat64(sweeper.Removed)).To(Equal(2.0))
	g.Expect(testutil.ToFloat64(sweeper.Failures)).To(BeZero())
}

func TestSweepsAreRepeated(t *testing.T) {
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	g.Expect(metav1.AddMetaToScheme(scheme)).To(Succeed())
	client := fake.NewSimpleMetadataClient(scheme)
	var sweeps atomic.Int32
	client.PrependReactor("list", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		sweeps.Add(1)
		return false, nil, nil
	})
	sweeper := job.Sweeper{Store: newStore(), Metadata: client, Interval: time.Millisecond}
	life, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- sweeper.Run(life) }()
	g.Eventually(sweeps.Load).Should(BeNumerically(">=", 3))
	end()
	g.Expect(<-ended).To(Succeed())
}
