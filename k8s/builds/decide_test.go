package builds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/jobtest"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
	"github.com/irene-cf/irene/stager/steps"
)

// registries answers for every registry there is.
type registries struct {
	results map[string]string
	config  stager.ImageConfig
	asked   []opi.Image
	err     error
	// userErr is what is found out about an image's user.
	userErr error
	// tagged are the droplets that were tagged, unless tagErr is set.
	tagged []steps.OutcomeDroplet
	tagErr error
}

func (r *registries) Tag(_ context.Context, droplet steps.OutcomeDroplet) error {
	if r.tagErr == nil {
		r.tagged = append(r.tagged, droplet)
	}
	return r.tagErr
}

func (r *registries) Result(_ context.Context, digest string) ([]byte, error) {
	if text, there := r.results[digest]; there {
		return []byte(text), nil
	}
	return nil, r.err
}

func (r *registries) Config(_ context.Context, image opi.Image) (stager.ImageConfig, error) {
	r.asked = append(r.asked, image)
	return r.config, r.err
}

func (r *registries) User(context.Context, opi.Image) (render.ImageUser, error) {
	return render.ImageUser{}, r.userErr
}

type world struct {
	*Builds
	registries *registries
	client     *fake.Clientset
	clock      *clocktesting.FakePassiveClock
	registered *prometheus.Registry
}

func newWorld(t *testing.T, objects ...runtime.Object) world {
	t.Helper()
	w := world{registries: &registries{results: map[string]string{}}, client: fake.NewClientset(objects...), clock: clocktesting.NewFakePassiveClock(now), registered: prometheus.NewRegistry()}
	var err error
	w.Builds, err = New(Options{
		Dependencies: job.Dependencies{Client: w.client, Logger: lager.NewLogger("test"), Registerer: w.registered, Clock: w.clock},
		Settings:     testSettings(), Results: w.registries, Configs: w.registries, Users: w.registries,
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return w
}

func pushedPod(t *testing.T, job *batchv1.Job) *corev1.Pod {
	t.Helper()
	return testPod(job, ended("push", 0, "Completed", done(t, "push")), ended("fetch", 0, "Completed", done(t, "fetch")))
}

const resultJSON = `{"lifecycle_type":"buildpack","lifecycle_metadata":{"buildpack_key":"k","detected_buildpack":"Ruby","buildpacks":[{"key":"k","name":"ruby"}]},
	"process_types":{"web":"run & hide"},"execution_metadata":"","surprise":1}`

func TestDecideSuccess(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.registries.results[testResult] = resultJSON
	job := testJob(t)
	for range 2 {
		outcome, wait, err := w.Decide(context.Background(), job, []*corev1.Pod{pushedPod(t, job)})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(wait).To(BeZero())
		g.Expect(outcome.Reason).To(Equal("succeeded"))
		g.Expect(jobtest.Callback(outcome)).To(MatchJSON(`{"result":{"lifecycle_type":"buildpack",
			"lifecycle_metadata":{"buildpack_key":"k","detected_buildpack":"Ruby","buildpacks":[{"key":"k","name":"ruby"}]},
			"process_types":{"web":"run & hide"},"execution_metadata":""}}`))
	}
	g.Expect(testutil.GatherAndCompare(w.registered, strings.NewReader(`# HELP irene_stagings_total Builds that have ended, by lifecycle (buildpack, docker) and reason (succeeded, or why not).
# TYPE irene_stagings_total counter
irene_stagings_total{lifecycle="buildpack",reason="succeeded"} 1
`), "irene_stagings_total")).To(Succeed(), "a decision that is made again is counted once")
	g.Expect(testutil.CollectAndCount(w.metrics.stepSeconds)).To(Equal(2), "fetch and push have said it")
}

// The tags of a droplet name what its build has pushed before Cloud Controller gets the outcome.
func TestDecideTagsTheDroplet(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.registries.results[testResult] = resultJSON
	job := testJob(t)
	decide := func() (*opi.Outcome, error) {
		outcome, _, err := w.Decide(context.Background(), job, []*corev1.Pod{pushedPod(t, job)})
		return outcome, err
	}
	w.registries.tagErr = fmt.Errorf("tag: %w", opi.ErrUnavailable)
	_, err := decide()
	g.Expect(err).To(MatchError(opi.ErrUnavailable))
	for _, lost := range []error{opi.ErrNotFound, opi.ErrRefused} {
		w.registries.tagErr = fmt.Errorf("tag: %w", lost)
		g.Expect(decide()).To(HaveField("Reason", "succeeded"), "a droplet can be fetched again")
	}
	w.registries.tagErr = nil
	g.Expect(decide()).To(HaveField("Reason", "succeeded"))
	g.Expect(w.registries.tagged).To(Equal([]steps.OutcomeDroplet{{Bytes: 10, SHA1: "s", SHA256: "t", Manifest: "sha256:m", Result: testResult}}))
}

func TestDecideWaitsForTheRegistry(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	job := testJob(t)
	pods := []*corev1.Pod{pushedPod(t, job)}
	decide := func() (*opi.Outcome, error) {
		outcome, _, err := w.Decide(context.Background(), job, pods)
		return outcome, err
	}
	w.registries.err = fmt.Errorf("read: %w", opi.ErrUnavailable)
	_, err := decide()
	g.Expect(err).To(MatchError(opi.ErrUnavailable))
	w.clock.SetTime(now.Add(time.Hour))
	_, err = decide()
	g.Expect(err).To(MatchError(opi.ErrUnavailable), "however long it takes")

	w.registries.err = fmt.Errorf("read: %w", opi.ErrNotFound)
	w.clock.SetTime(now)
	_, err = decide()
	g.Expect(err).To(MatchError(opi.ErrNotFound))
	w.clock.SetTime(now.Add(time.Hour))
	g.Expect(decide()).To(HaveField("Reason", "internal"))

	w.registries.results[testResult] = `{"lifecycle_type":"docker"}`
	outcome, err := decide()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(jobtest.Callback(outcome)).To(ContainSubstring(`"id":"StagerError"`))
}

func TestResultsThatAreTooLarge(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.registries.results[testResult] = strings.Replace(resultJSON, "run & hide", strings.Repeat("x", opi.MaxResultBytes), 1)
	job := testJob(t)
	outcome, _, err := w.Decide(context.Background(), job, []*corev1.Pod{pushedPod(t, job)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome.Reason).To(Equal("output"))
	g.Expect(len(jobtest.Callback(outcome))).To(BeNumerically("<", 1000))
}

func TestCancelIsOneWrite(t *testing.T) {
	g := NewWithT(t)
	job := testJob(t)
	w := newWorld(t, job)
	g.Expect(w.CancelStaging(context.Background(), testGUID)).To(Succeed())
	stopped, err := w.client.BatchV1().Jobs(job.Namespace).Get(context.Background(), job.Name, metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stopped.Spec.Suspend).To(HaveValue(BeTrue()))
	outcome, _, err := w.Decide(context.Background(), stopped, []*corev1.Pod{testPod(job)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(jobtest.Callback(outcome)).To(MatchJSON(`{"error":{"id":"StagingError","message":"Staging was canceled"}}`))
}

func TestDecideReadsWhyThereIsNoPod(t *testing.T) {
	g := NewWithT(t)
	job := testJob(t, func(job *batchv1.Job) { job.Status.StartTime = ptr.To(jobtest.Ago(time.Hour)) })
	w := newWorld(t, job, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: job.Namespace, Name: "e"},
		InvolvedObject: corev1.ObjectReference{UID: job.UID}, Reason: "FailedCreate", Message: "exceeded quota: memory",
	})
	outcome, _, err := w.Decide(context.Background(), job, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(jobtest.Callback(outcome)).To(MatchJSON(`{"error":{"id":"InsufficientResources","message":"Staging could not begin within 5 min: Kubernetes made no pod for it: exceeded quota: memory"}}`))
}

// imageWorld has the record of a docker image.
func imageWorld(t *testing.T) (world, *batchv1.Job) {
	t.Helper()
	return imageWorldOf(t, testBuild())
}

func imageWorldOf(t *testing.T, build opi.Build) (world, *batchv1.Job) {
	t.Helper()
	build.Source, build.Image = nil, &opi.Image{Reference: "docker.io/some/image", Credentials: &opi.RegistryCredentials{Username: "u", Password: "p"}}
	objects, err := testSettings().Render(build, stager.PodImages{}, stager.Credentials{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	objects.Job.UID, objects.Job.CreationTimestamp = "job", jobtest.Ago(time.Second)
	return newWorld(t, objects.Job, objects.Secrets[0]), objects.Job
}

func TestDecideImage(t *testing.T) {
	g := NewWithT(t)
	w, job := imageWorld(t)
	w.registries.config = stager.ImageConfig{
		Command: []string{"serve"}, Entrypoint: []string{"/run", "it"}, User: "1000:1000", WorkingDirectory: "/srv",
		Ports: []string{"9000", "53/udp", "8080/tcp", "53/tcp", "8080"},
	}
	outcome, _, err := w.Decide(context.Background(), job, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.registries.asked).To(Equal([]opi.Image{{Reference: "docker.io/some/image", Credentials: &opi.RegistryCredentials{Username: "u", Password: "p"}}}))
	g.Expect(outcome.Reason).To(Equal("succeeded"))
	var body struct {
		Result struct {
			LifecycleType     string            `json:"lifecycle_type"`
			LifecycleMetadata map[string]string `json:"lifecycle_metadata"`
			ProcessTypes      map[string]string `json:"process_types"`
			ExecutionMetadata string            `json:"execution_metadata"`
		} `json:"result"`
	}
	g.Expect(json.Unmarshal([]byte(jobtest.Callback(outcome)), &body)).To(Succeed())
	g.Expect(body.Result.LifecycleType).To(Equal("docker"))
	g.Expect(body.Result.LifecycleMetadata).To(Equal(map[string]string{"docker_image": "docker.io/some/image"}))
	g.Expect(body.Result.ProcessTypes).To(Equal(map[string]string{"web": ""}))
	g.Expect(body.Result.ExecutionMetadata).To(Equal(`{"cmd":["serve"],"entrypoint":["/run","it"],"workdir":"/srv","user":"1000:1000",` +
		`"ports":[{"Port":53,"Protocol":"tcp"},{"Port":53,"Protocol":"udp"},{"Port":8080,"Protocol":"tcp"},{"Port":9000,"Protocol":"tcp"}]}`))
}

func TestDecideImageWithoutAnything(t *testing.T) {
	g := NewWithT(t)
	w, job := imageWorld(t)
	outcome, _, err := w.Decide(context.Background(), job, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(jobtest.Callback(outcome)).To(ContainSubstring(`"execution_metadata":"{\"cmd\":[],\"ports\":[]}"`))
}

// Staging reports a user that the platform does not run images as.
func TestDecideImageOfAUserThatCantRun(t *testing.T) {
	g := NewWithT(t)
	w, job := imageWorld(t)
	w.registries.config = stager.ImageConfig{Command: []string{"serve"}}
	decide := func() *opi.Outcome {
		outcome, _, err := w.Decide(context.Background(), job, nil)
		g.Expect(err).NotTo(HaveOccurred())
		return outcome
	}
	w.registries.userErr = fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image", opi.ImageRunsAsRoot))
	outcome := decide()
	g.Expect(outcome.Reason).To(Equal("image"))
	g.Expect(jobtest.Callback(outcome)).To(MatchJSON(`{"error":{"id":"StagingError","message":"The image can't be used: ` + opi.ImageRunsAsRoot + `"}}`))

	w.registries.userErr = errors.New("the registry did not answer within 10s")
	g.Expect(decide().Reason).To(Equal("succeeded"), "the app's start finds it out")

	w.options.Users = nil
	w.registries.userErr = opi.ErrRefused
	g.Expect(decide().Reason).To(Equal("succeeded"), "with user namespaces any user will do")
}

// An image without any command has no process types where Cloud Controller starts the app
// with its answer, so that it looks whether the app has a command.
func TestDecideImageWithoutCommand(t *testing.T) {
	for name, c := range map[string]struct {
		query  string
		config stager.ImageConfig
		types  string
	}{
		"starts, nothing to run": {"?start=true", stager.ImageConfig{}, `{}`},
		"starts, entrypoint":     {"?start=true", stager.ImageConfig{Entrypoint: []string{"/run"}}, `{"web":""}`},
		"starts, command":        {"?start=true", stager.ImageConfig{Command: []string{"serve"}}, `{"web":""}`},
		"stages only":            {"?start=false", stager.ImageConfig{}, `{"web":""}`},
		"no query":               {"", stager.ImageConfig{}, `{"web":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			build := testBuild()
			build.CompletionCallback = "https://user:password@cc.example:9023/internal/v3/staging/guid/build_completed" + c.query
			w, job := imageWorldOf(t, build)
			w.registries.config = c.config
			outcome, _, err := w.Decide(context.Background(), job, nil)
			g.Expect(err).NotTo(HaveOccurred())
			var body struct {
				Result struct {
					ProcessTypes json.RawMessage `json:"process_types"`
				} `json:"result"`
			}
			g.Expect(json.Unmarshal([]byte(jobtest.Callback(outcome)), &body)).To(Succeed())
			g.Expect(body.Result.ProcessTypes).To(MatchJSON(c.types))
		})
	}
}

func TestDecideImageFailures(t *testing.T) {
	g := NewWithT(t)
	w, job := imageWorld(t)
	decide := func() (*opi.Outcome, time.Duration) {
		outcome, wait, err := w.Decide(context.Background(), job, nil)
		g.Expect(err).NotTo(HaveOccurred())
		return outcome, wait
	}
	w.registries.err = errors.New("no route to host")
	outcome, wait := decide()
	g.Expect(outcome).To(BeNil())
	g.Expect(wait).To(Equal(askAgain))
	w.clock.SetTime(now.Add(DefaultDockerPatience))
	outcome, _ = decide()
	g.Expect(jobtest.Callback(outcome)).To(MatchJSON(`{"error":{"id":"StagingError","message":"The image can't be used: no route to host"}}`))

	w.clock.SetTime(now)
	w.registries.err = fmt.Errorf("read: %w: denied", opi.ErrRefused)
	outcome, _ = decide()
	g.Expect(outcome.Reason).To(Equal("image"), "asking again is in vain")

	w.registries.err = nil
	for _, port := range []string{"x/tcp", "0/tcp", "70000/tcp", "/tcp", "80/"} {
		w.registries.config.Ports = []string{port}
		outcome, _ = decide()
		g.Expect(jobtest.Callback(outcome)).To(ContainSubstring("which is no port"), port)
	}

	for range maxLookups {
		w.lookups <- struct{}{}
	}
	outcome, wait = decide()
	g.Expect(outcome).To(BeNil())
	g.Expect(wait).To(Equal(awaitTurn), "too many are being asked")
}

func TestDecideImageThatIsGivenUp(t *testing.T) {
	g := NewWithT(t)
	w, job := imageWorld(t)
	g.Expect(w.CancelStaging(context.Background(), testGUID)).To(Succeed())
	canceled, err := w.client.BatchV1().Jobs(job.Namespace).Get(context.Background(), job.Name, metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	outcome, _, err := w.Decide(context.Background(), canceled, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome.Reason).To(Equal("canceled"))

	job.DeletionTimestamp = ptr.To(jobtest.Ago(0))
	outcome, _, err = w.Decide(context.Background(), job, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome.Reason).To(Equal("deleted"))

	job.DeletionTimestamp = nil
	g.Expect(w.client.CoreV1().Secrets(job.Namespace).Delete(context.Background(), job.Name, metav1.DeleteOptions{})).To(Succeed())
	outcome, _, err = w.Decide(context.Background(), job, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome.Reason).To(Equal("internal"))
	g.Expect(w.registries.asked).To(BeEmpty())
}

func TestCancelStaging(t *testing.T) {
	g := NewWithT(t)
	g.Expect(newWorld(t).CancelStaging(context.Background(), testGUID)).To(MatchError(opi.ErrNotFound))

	decided := testJob(t, func(job *batchv1.Job) { job.Annotations[keys.Outcome], job.Annotations[keys.Door] = "{}", "bbs" })
	w := newWorld(t, decided)
	g.Expect(w.BuildDoor(context.Background(), testGUID)).To(Equal(opi.DoorBBS))
	_, err := w.BuildDoor(context.Background(), "unknown")
	g.Expect(err).To(MatchError(opi.ErrNotFound))
	g.Expect(w.CancelStaging(context.Background(), testGUID)).To(Succeed())
	for _, action := range w.client.Actions() {
		g.Expect(action.GetVerb()).To(Equal("get"), "what has ended stays as it is")
	}

	foreign := testJob(t, func(job *batchv1.Job) { job.Labels[keys.SourceType] = "TASK" })
	g.Expect(newWorld(t, foreign).CancelStaging(context.Background(), testGUID)).To(MatchError(opi.ErrRefused))
}

// User code's words stay within what package steps lets through.
func TestMetricsOfForgedMessages(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	job := testJob(t)
	pod := testPod(job, ended("build", 1, "Error", `{"step":"build","seconds":-5,"failure":{"reason":"made-up"}}`))
	outcome, _, err := w.Decide(context.Background(), job, []*corev1.Pod{pod})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome.Reason).To(Equal("internal"))
	g.Expect(testutil.CollectAndCount(w.metrics.stepSeconds)).To(BeZero())
	_, known := steps.ReasonOfExit(1)
	g.Expect(known).To(BeFalse())
}
