//go:build controlplane

package events

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/devcluster"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// endedMark on a Job of these tests tells their Decider that it has ended.
const endedMark = "test/ended"

// whim decides something else whenever it is asked, so that whoever decides twice is
// found out.
type whim struct {
	asked atomic.Int32
	// patience is how long a Job may wait for its pod's node.
	patience time.Duration
}

func (d *whim) Decide(_ context.Context, job *batchv1.Job, pods []*corev1.Pod) (*opi.Outcome, time.Duration, error) {
	d.asked.Add(1)
	reason := ""
	switch rest := d.patience - time.Since(job.CreationTimestamp.Time); {
	case job.DeletionTimestamp != nil:
		reason = "deleted"
	case job.Annotations[endedMark] != "":
		reason = job.Annotations[endedMark]
	case d.patience > 0 && rest <= 0 && len(pods) == 1:
		reason = "unschedulable"
	case d.patience > 0:
		return nil, max(rest, time.Millisecond), nil
	}
	if reason == "broken" {
		return nil, 0, fmt.Errorf("nothing can be decided of %s", job.Name)
	}
	if reason == "" {
		return nil, 0, nil
	}
	return opi.BuildFailed(job.Name, reason, opi.StagingError, reason+" "+rand.String(10)), 0, nil
}

// world is a namespace and a Cloud Controller for one test.
type world struct {
	g         *WithT
	t         *testing.T
	ctx       context.Context
	config    *rest.Config
	client    kubernetes.Interface
	namespace string
	cc        *standin.Server
	builds    []string // guids, which are the Jobs' names too
}

func startCluster(t *testing.T) *rest.Config {
	t.Helper()
	g := NewWithT(t)
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{}, os.Stderr)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(cluster.Stop()).To(Succeed()) })
	config, err := cluster.RESTConfig()
	g.Expect(err).NotTo(HaveOccurred())
	config.QPS = -1
	return config
}

func newWorld(t *testing.T, g *WithT, config *rest.Config) *world {
	t.Helper()
	w := &world{g: g, t: t, ctx: t.Context(), config: config, client: kubernetes.NewForConfigOrDie(config)}
	namespace, err := w.client.CoreV1().Namespaces().Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "events-"}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	w.namespace = namespace.Name
	g.Eventually(func() error {
		_, err := w.client.CoreV1().ServiceAccounts(w.namespace).Get(w.ctx, "default", metav1.GetOptions{})
		return err
	}).Should(Succeed())
	w.cc, err = standin.Start(standin.Options{User: "internal", Password: "p@ss"})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(w.cc.Close()).To(Succeed()) })
	return w
}

// build makes a Job as package builds does, with the Secret first. edit may be nil.
func (w *world) build(edit func(*batchv1.Job)) string {
	w.t.Helper()
	build, _, err := w.cc.NewBuild(standin.Build{Image: "registry.example/image"})
	w.g.Expect(err).NotTo(HaveOccurred())
	_, err = w.client.CoreV1().Secrets(w.namespace).Create(w.ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: build.GUID},
		StringData: map[string]string{keys.CallbackKey: w.cc.CallbackURL(build.GUID, false)},
	}, metav1.CreateOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	labels := map[string]string{keys.SourceType: keys.SourceTypeStaging}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: build.GUID, Labels: labels, Finalizers: []string{keys.ReportFinalizer}},
		Spec: batchv1.JobSpec{
			Suspend:      ptr.To(true),
			BackoffLimit: ptr.To[int32](0),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever,
					NodeSelector: map[string]string{"no": "node"},
					Containers:   []corev1.Container{{Name: "build", Image: "image"}}},
			},
		},
	}
	if edit != nil {
		edit(job)
	}
	job, err = w.client.BatchV1().Jobs(w.namespace).Create(w.ctx, job, metav1.CreateOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	w.builds = append(w.builds, job.Name)
	return job.Name
}

func ended(reason string) func(*batchv1.Job) {
	return func(job *batchv1.Job) { job.Annotations = map[string]string{endedMark: reason} }
}

func running(job *batchv1.Job) { job.Spec.Suspend = nil }

// options are those of a process that reports.
func (w *world) options(edit func(*ClientOptions, *Options)) (Options, *prometheus.Registry) {
	w.t.Helper()
	metrics := prometheus.NewRegistry()
	logger := lagertest.NewTestLogger("events")
	client := ClientOptions{RequestTimeout: 5 * time.Second, Logger: logger, Registerer: metrics}
	o := Options{
		Kubernetes: w.client, Namespace: w.namespace, Kinds: map[string]Decider{keys.SourceTypeStaging: &whim{}},
		Doors:  Doors{opi.DoorOPI: api.Encoder{}},
		Logger: logger, Registerer: metrics,
	}
	if edit != nil {
		edit(&client, &o)
	}
	var err error
	o.CloudController, err = NewCloudController(client)
	w.g.Expect(err).NotTo(HaveOccurred())
	return o, metrics
}

// run reports until the test ends or it is stopped.
func (w *world) run(edit func(*ClientOptions, *Options)) (stop func(), metrics *prometheus.Registry) {
	w.t.Helper()
	options, metrics := w.options(edit)
	jobs, err := NewJobs(options)
	w.g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := jobs.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return stop, metrics
}

func (w *world) job(name string) *batchv1.Job {
	job, err := w.client.BatchV1().Jobs(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	w.g.Expect(err).NotTo(HaveOccurred())
	return job
}

// answer is the mark on a Job; empty while there is none.
func (w *world) answer(name string) func() string {
	return func() string {
		if job := w.job(name); job != nil {
			return job.Annotations[keys.OutcomeAnswer]
		}
		return ""
	}
}

func (w *world) gone(name string) func() bool {
	return func() bool { return w.job(name) == nil }
}

// allAnswered is whether every Job has its mark.
func (w *world) allAnswered() bool {
	list, err := w.client.BatchV1().Jobs(w.namespace).List(w.ctx, metav1.ListOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	for i := range list.Items {
		if !answered(&list.Items[i]) {
			return false
		}
	}
	return true
}

// heard checks that Cloud Controller was told of every build, and never two different
// things; it returns how often it was told once more, in all and of one build at most.
func (w *world) heard() (duplicates, most int) {
	w.t.Helper()
	for _, guid := range w.builds {
		received := w.cc.Received(standin.BuildCompleted, guid)
		w.g.Expect(received).NotTo(BeEmpty(), "build %s was forgotten", guid)
		for _, request := range received[1:] {
			w.g.Expect(string(request.Body)).To(Equal(string(received[0].Body)), "build %s has two outcomes", guid)
		}
		duplicates += len(received) - 1
		most = max(most, len(received)-1)
		build, _ := w.cc.Build(guid)
		w.g.Expect(build.State).To(Equal(standin.Failed))
	}
	return duplicates, most
}

func (w *world) pods() []corev1.Pod {
	list, err := w.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	return list.Items
}
