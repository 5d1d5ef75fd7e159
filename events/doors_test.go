package events

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// What the release before doors has written on Jobs of builds and tasks, and what it sends
// of that.
var writtenBeforeDoors = map[string]struct{ annotation, body string }{
	"built": {
		annotation: `{"body":{"result":{"lifecycle_type":"buildpack","lifecycle_metadata":{"detected_buildpack":"ruby","buildpacks":[]},"process_types":{"web":"a && b > c"},"execution_metadata":""}},"reason":"succeeded"}`,
		body:       `{"result":{"lifecycle_type":"buildpack","lifecycle_metadata":{"detected_buildpack":"ruby","buildpacks":[]},"process_types":{"web":"a && b > c"},"execution_metadata":""}}`,
	},
	"not built": {
		annotation: `{"body":{"error":{"id":"NoAppDetectedError","message":"none of <3> & more wants it"}},"reason":"detect"}`,
		body:       `{"error":{"id":"NoAppDetectedError","message":"none of <3> & more wants it"}}`,
	},
	"task done": {
		annotation: `{"body":{"task_guid":"work","failed":false,"failure_reason":""},"reason":"succeeded"}`,
		body:       `{"task_guid":"work","failed":false,"failure_reason":""}`,
	},
	"task failed": {
		annotation: `{"body":{"task_guid":"work","failed":true,"failure_reason":"Exited with status 3"},"reason":"exit"}`,
		body:       `{"task_guid":"work","failed":true,"failure_reason":"Exited with status 3"}`,
	},
}

// sentBeforeDoors is how the release before doors reads an outcome: what it sends, and what
// it logs as the reason.
func sentBeforeDoors(g *WithT, job *batchv1.Job) (body, reason string) {
	var outcome struct {
		Body   json.RawMessage `json:"body"`
		Reason string          `json:"reason"`
	}
	g.Expect(json.Unmarshal([]byte(job.Annotations["irene.cloudfoundry.org/outcome"]), &outcome)).To(Succeed())
	return string(outcome.Body), outcome.Reason
}

// always decides the same.
type always struct{ outcome *opi.Outcome }

func (a always) Decide(context.Context, *batchv1.Job, []*corev1.Pod) (*opi.Outcome, time.Duration, error) {
	outcome := *a.outcome
	return &outcome, 0, nil
}

// doorWorld has one Job and a Cloud Controller that receives its outcome.
type doorWorld struct {
	g       *WithT
	client  *fake.Clientset
	metrics *prometheus.Registry
	log     *lagertest.TestLogger

	mutex sync.Mutex
	heard []string
}

const doorJob = "work"

func newDoorWorld(t *testing.T, annotations map[string]string) *doorWorld {
	t.Helper()
	w := &doorWorld{g: NewWithT(t)}
	w.g.SetDefaultEventuallyTimeout(time.Minute)
	caller := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it is sent again
		}
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.heard = append(w.heard, string(body))
	}))
	t.Cleanup(caller.Close)
	w.client = fake.NewClientset(
		&batchv1.Job{ObjectMeta: metav1.ObjectMeta{
			Namespace: "cf-apps", Name: doorJob, UID: "uid", Annotations: annotations, Finalizers: []string{keys.ReportFinalizer},
			Labels:            map[string]string{keys.SourceType: keys.SourceTypeStaging},
			CreationTimestamp: metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)),
		}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "cf-apps", Name: doorJob}, Data: map[string][]byte{keys.CallbackKey: []byte(caller.URL)}})
	w.client.PrependWatchReactor("*", w.watchCopies)
	return w
}

// watchCopies watches without sharing objects with the fake API server, which keeps on using
// the first ones that it sends, while informers change what they get.
func (w *doorWorld) watchCopies(action clienttesting.Action) (handled bool, copies apiwatch.Interface, err error) {
	var options metav1.ListOptions
	if watching, ok := action.(clienttesting.WatchActionImpl); ok {
		options = watching.ListOptions
	}
	shared, err := w.client.Tracker().Watch(action.GetResource(), action.GetNamespace(), options)
	if err != nil {
		return true, nil, err
	}
	return true, apiwatch.Filter(shared, func(event apiwatch.Event) (apiwatch.Event, bool) {
		event.Object = event.Object.DeepCopyObject()
		return event, true
	}), nil
}

// run reports until the test ends or it is stopped.
func (w *doorWorld) run(t *testing.T, outcome *opi.Outcome, doors Doors) (stop func()) {
	t.Helper()
	w.metrics, w.log = prometheus.NewRegistry(), lagertest.NewTestLogger("test")
	client, err := NewCloudController(ClientOptions{Logger: w.log, Registerer: prometheus.NewRegistry()})
	w.g.Expect(err).NotTo(HaveOccurred())
	jobs, err := NewJobs(Options{
		Kubernetes: w.client, Namespace: "cf-apps", Kinds: map[string]Decider{keys.SourceTypeStaging: always{outcome}}, Doors: doors,
		CloudController: client, Logger: w.log, Registerer: w.metrics,
	})
	w.g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := jobs.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done; client.Close() }
	t.Cleanup(stop)
	return stop
}

func (w *doorWorld) job() *batchv1.Job {
	job, err := w.client.BatchV1().Jobs("cf-apps").Get(context.Background(), doorJob, metav1.GetOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	return job
}

func (w *doorWorld) answered() bool { return answered(w.job()) }

func (w *doorWorld) bodies() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return append([]string{}, w.heard...)
}

func opiDoor() Doors {
	return Doors{opi.DoorOPI: api.Encoder{}}
}

func TestOutcomesOfTheReleaseBeforeDoorsAreSent(t *testing.T) {
	for name, written := range writtenBeforeDoors {
		t.Run(name, func(t *testing.T) {
			w := newDoorWorld(t, map[string]string{"irene.cloudfoundry.org/outcome": written.annotation})
			w.run(t, opi.TaskFailed(doorJob, "exit", "decided again"), opiDoor())
			w.g.Eventually(w.answered).Should(BeTrue())
			w.g.Expect(w.bodies()).To(Equal([]string{written.body}))
		})
	}
}

// An operator may go back by one version while Cloud Controller has not answered yet.
func TestTheReleaseBeforeDoorsSendsTheSame(t *testing.T) {
	g := NewWithT(t)
	built, err := opi.BuildSucceeded(doorJob, []byte(`{"lifecycle_type":"buildpack","lifecycle_metadata":{"detected_buildpack":"ruby","buildpacks":[]},"process_types":{"web":"a && b > c"},"execution_metadata":""}`))
	g.Expect(err).NotTo(HaveOccurred())
	for name, outcome := range map[string]*opi.Outcome{
		"built":       built,
		"not built":   opi.BuildFailed(doorJob, "detect", opi.NoAppDetectedError, "none of <3> & more wants it"),
		"task done":   opi.TaskSucceeded(doorJob),
		"task failed": opi.TaskFailed(doorJob, "exit", "Exited with status 3"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newDoorWorld(t, nil)
			w.run(t, outcome, opiDoor())
			w.g.Eventually(w.answered).Should(BeTrue())
			w.g.Expect(w.bodies()).To(Equal([]string{writtenBeforeDoors[name].body}))
			body, reason := sentBeforeDoors(w.g, w.job())
			w.g.Expect(body).To(Equal(writtenBeforeDoors[name].body))
			w.g.Expect(reason).To(Equal(outcome.Reason))
		})
	}
}

func TestTheLargestOutcomeFitsOnItsJob(t *testing.T) {
	g := NewWithT(t)
	command, err := opi.EncodeJSON(strings.Repeat("&", opi.MaxResultBytes-2))
	g.Expect(err).NotTo(HaveOccurred())
	built, err := opi.BuildSucceeded(strings.Repeat("g", 63), command)
	g.Expect(err).NotTo(HaveOccurred())
	for _, door := range []opi.Door{opi.DoorOPI, "other"} {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{keys.Door: string(door)}, CreationTimestamp: metav1.Now()}}
		r := &run{doors: opiDoor()}
		text, err := r.encodeOutcome(job, *built)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(len(text)).To(BeNumerically("<", opi.MaxResultBytes+1<<10), "of the 256 KiB that all annotations share")
		job.Annotations[keys.Outcome] = string(text)
		stored, err := readOutcome(job)
		g.Expect(err).NotTo(HaveOccurred())
		expected := *built
		expected.Requested = stored.Outcome.Requested
		g.Expect(*stored.Outcome).To(Equal(expected))
	}
}

// domainForm is another door's.
type domainForm struct{}

func (domainForm) EncodeOutcome(outcome opi.Outcome) ([]byte, error) {
	return json.Marshal(map[string]any{"id": outcome.GUID, "ok": !outcome.Failed, "at": outcome.Requested.Unix(), "result": outcome.Result})
}

func (domainForm) EncodeReport(report opi.InstanceReport) (string, []byte, error) {
	return "/reports", []byte(`{"n":` + string('0'+rune(report.CrashCount)) + `}`), nil
}

func TestOutcomesWaitForTheirDoor(t *testing.T) {
	built, err := opi.BuildSucceeded(doorJob, []byte(`{"lifecycle_type":"buildpack"}`))
	w := newDoorWorld(t, map[string]string{"irene.cloudfoundry.org/door": "other"})
	w.g.Expect(err).NotTo(HaveOccurred())
	stop := w.run(t, built, opiDoor())
	w.g.Eventually(func() string { return string(w.log.Buffer().Contents()) }).Should(ContainSubstring(`the door \"other\", which this Irene does not have`))
	w.g.Eventually(func() map[string]float64 { return measured(w.g, w.metrics) }).Should(And(
		HaveKeyWithValue(`irene_outcomes_pending{kind="STG"}`, 1.0), HaveKeyWithValue(`irene_outcome_failures_total{step="deliver"}`, 1.0)))
	w.g.Expect(decided(w.job())).To(BeTrue())
	w.g.Expect(w.answered()).To(BeFalse())
	w.g.Expect(w.bodies()).To(BeEmpty())
	body, _ := sentBeforeDoors(w.g, w.job())
	w.g.Expect(body).To(BeEmpty(), "the release before never had that door")
	stop()

	doors := opiDoor()
	doors["other"] = domainForm{}
	w.run(t, opi.BuildFailed(doorJob, "memory", opi.StagingError, "decided again"), doors)
	w.g.Eventually(w.answered).Should(BeTrue())
	w.g.Expect(w.bodies()).To(Equal([]string{`{"at":1772366400,"id":"work","ok":true,"result":{"lifecycle_type":"buildpack"}}`}))
}

func TestReportsAreInTheFormOfTheLRPsDoor(t *testing.T) {
	var mutex sync.Mutex
	var heard []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mutex.Lock()
		defer mutex.Unlock()
		heard = append(heard, r.URL.Path+" "+string(body))
	}))
	t.Cleanup(other.Close)
	w := newReportWorld(t, func(o *InstanceReportsOptions) { o.URL, o.Doors["other"] = other.URL+"/cc/", domainForm{} })
	w.run()
	w.pod(0, "a", func(r *opi.InstanceRecord) { r.Door = "other" })
	w.crash("a", 1)
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 1}))
	mutex.Lock()
	defer mutex.Unlock()
	w.g.Expect(heard).To(Equal([]string{`/cc/reports {"n":1}`}))
}

func TestReportsWaitForTheirDoor(t *testing.T) {
	w := newReportWorld(t, nil)
	stop := w.run()
	w.pod(0, "a", func(r *opi.InstanceRecord) { r.Door = "other" })
	w.crash("a", 1)
	w.g.Eventually(func() map[string]float64 { return measured(w.g, w.metrics) }).Should(And(
		HaveKeyWithValue("irene_instance_reports_pending", 1.0), HaveKeyWithValue("irene_instance_report_failures_total", 1.0)))
	w.g.Expect(w.cc.Received("", "")).To(BeEmpty())
	stop()
	w.options.Doors["other"] = api.Encoder{}
	w.run()
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 1}))
	w.g.Expect(w.heard(standin.AppCrashed)).To(HaveLen(1))
}
