package job_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type world struct {
	*job.Store
	client     *fake.Clientset
	metadata   *metadatafake.FakeMetadataClient
	registered *prometheus.Registry
}

// newWorld has objects, and what a metadata client returns of them.
func newWorld(t *testing.T, objects []runtime.Object, seen ...runtime.Object) world {
	t.Helper()
	scheme := runtime.NewScheme()
	NewWithT(t).Expect(metav1.AddMetaToScheme(scheme)).To(Succeed())
	w := world{
		client: fake.NewClientset(objects...), metadata: metadatafake.NewSimpleMetadataClient(scheme, seen...),
		registered: prometheus.NewRegistry(),
	}
	w.Store = job.New(job.Options{
		Dependencies: job.Dependencies{
			Client: w.client, Metadata: w.metadata, OrphanMinAge: time.Minute, SweepInterval: time.Millisecond,
			Logger: lager.NewLogger("test"), Registerer: w.registered, Clock: clocktesting.NewFakePassiveClock(now),
		},
		Kind:      job.Kind{SourceType: "KIND", Name: "thing", Prefix: "thing-"},
		Namespace: "cf-apps",
		Metrics: job.NewMetrics(
			prometheus.NewCounterVec(prometheus.CounterOpts{Name: "things_total"}, []string{"reason"}),
			prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "thing_seconds"}, []string{"result"}), "thing", "things"),
	})
	return w
}

// newJob has the Store's labels.
func newJob(guid string) *batchv1.Job {
	return job.Work{
		Namespace: "cf-apps", Name: job.Name("thing-", guid),
		Labels: render.OwnerLabels("KIND", guid, opi.Owner{}, opi.Owner{}, opi.Owner{}), Annotations: map[string]string{},
	}.Job(render.Pod{})
}

func newSecret(of *batchv1.Job, value string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: of.Namespace, Name: of.Name, Labels: of.Labels},
		Data:       map[string][]byte{"key": []byte(value)},
	}
}

func TestNames(t *testing.T) {
	g := NewWithT(t)
	const plain = "a0b1c2d3-0000-4000-8000-000000000001"
	g.Expect(job.Name("thing-", plain)).To(Equal("thing-" + plain))
	for _, guid := range []string{"some_guid", "UPPER", "a.b", strings.Repeat("a", 63)} {
		g.Expect(job.Name("thing-", guid)).To(MatchRegexp(`^thing-[0-9a-f]{40}$`))
	}
	g.Expect(job.Name("thing-", "A")).NotTo(Equal(job.Name("thing-", "a")))
}

func TestWhatIsWrittenTwiceIsThereOnce(t *testing.T) {
	g := NewWithT(t)
	store := newWorld(t, nil)
	_, err := store.Find(t.Context(), "guid")
	g.Expect(err).To(MatchError(opi.ErrNotFound))
	for _, value := range []string{"first", "second"} {
		wanted := newJob("guid")
		g.Expect(store.Write(t.Context(), job.Objects{Secrets: []*corev1.Secret{newSecret(wanted, value)}, Job: wanted})).To(Succeed())
		secret, err := store.client.CoreV1().Secrets("cf-apps").Get(t.Context(), "thing-guid", metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(secret.Data["key"])).To(Equal(value))
		g.Expect(secret.Annotations).To(HaveKeyWithValue(keys.DesiredAt, "2026-03-01T12:00:00Z"))
	}
	_, err = store.Find(t.Context(), "guid")
	g.Expect(err).NotTo(HaveOccurred())
}

func TestANameOfSomebodyElse(t *testing.T) {
	g := NewWithT(t)
	other := newJob("guid")
	other.Labels[keys.GUID] = "other"
	store := newWorld(t, []runtime.Object{other})
	g.Expect(store.Write(t.Context(), job.Objects{Job: newJob("guid")})).To(MatchError(opi.ErrRefused))
}

func TestPatience(t *testing.T) {
	g := NewWithT(t)
	calls := 0
	err := job.Patiently(t.Context(), func(context.Context) error {
		if calls++; calls < 3 {
			return fmt.Errorf("call: %w", opi.ErrUnavailable)
		}
		return nil
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(calls).To(Equal(3))

	final := errors.New("no")
	g.Expect(job.Patiently(t.Context(), func(context.Context) error { return final })).To(Equal(final))
	ended, end := context.WithCancel(t.Context())
	end()
	g.Expect(job.Patiently(ended, func(context.Context) error { return nil })).To(Or(Succeed(), MatchError(opi.ErrUnavailable)))
}
