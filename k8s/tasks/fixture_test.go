package tasks

import (
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
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func testSettings() Settings {
	return Settings{
		Translation: render.Settings{
			Namespace:      "cf-apps",
			Registry:       render.RegistrySettings{PullAddress: "127.0.0.1:32123", Prefix: "cloudfoundry", PullSecret: "registry"},
			DefaultDiskMiB: 2048,
			Placement:      render.PlacementSettings{NodeLabel: "segment", SharedUnlabelled: true},
		},
		Limits: job.Limits{SchedulingPatience: job.DefaultSchedulingPatience, PullPatience: job.DefaultPullPatience, LostNodeGrace: time.Minute},
	}
}

const testGUID = "a0b1c2d3-0000-4000-8000-000000000001"

// testTask runs in a droplet.
func testTask() opi.Task {
	return opi.Task{
		GUID: testGUID, Name: "migrate the database!", App: opi.Owner{GUID: "app-guid", Name: "the app"}, Space: opi.Owner{GUID: "space-guid", Name: "dev"},
		Organization: opi.Owner{GUID: "org-guid", Name: "Org & Co"},
		Droplet:      &opi.Droplet{GUID: "droplet-guid", Checksum: opi.Checksum{Algorithm: "sha1", Value: "fe97c9c4"}},
		Process:      opi.Process{Command: []string{"rake db:migrate && echo $HOME"}},
		Environment: map[string]string{
			"SECRET": "env-hunter2", "VCAP_SERVICES": `{"mysql":"services-hunter2"}`, "VCAP_APPLICATION": `{"limits":{"mem":256,"disk":512}}`, "MEMORY_LIMIT": "256m",
			"VCAP_PLATFORM_OPTIONS": `{"credhub-uri":"https://credhub"}`, "LANG": "de_DE.UTF-8", "CF_INSTANCE_IP": "forged",
		},
		Limits:             opi.Limits{MemoryMiB: 256, DiskMiB: 512, CPUWeight: 3},
		CompletionCallback: "https://user:callback-hunter2@cc:9023/internal/v4/tasks/x/completed",
	}
}

// testImageTask runs in a private image.
func testImageTask() opi.Task {
	task := testTask()
	task.Droplet, task.Limits.DiskMiB = nil, 0
	task.RootFS.Image = &opi.Image{Reference: "registry.example:5000/some/image:1", Credentials: &opi.RegistryCredentials{Username: "u", Password: "image-hunter2"}}
	task.Process.Command = []string{"/bin/sh", "-c", "echo $(HOME)"}
	return task
}

func assembled() render.ResolvedImage {
	return render.ResolvedImage{AppImage: render.AppImage{Revision: "4f1a9c07", Stack: "cflinuxfs4"}}
}

// testJob is a Job as Kubernetes has it a minute after its creation.
func testJob(t *testing.T, changes ...func(*batchv1.Job)) *batchv1.Job {
	t.Helper()
	objects, err := testSettings().Render(testTask(), assembled())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	found := objects.Job
	found.UID, found.ResourceVersion, found.CreationTimestamp = "job-uid", "7", ago(time.Minute)
	found.Status.StartTime = ptr.To(ago(time.Minute))
	for _, change := range changes {
		change(found)
	}
	return found
}

// dockerJob makes a Job one of a docker app.
func dockerJob(job *batchv1.Job) {
	delete(job.Labels, keys.RootFSVersion)
	job.Spec.Template.Spec.Containers[0].Image = "org/app:1"
}

// testPod is the Job's pod on a node, running.
func testPod(job *batchv1.Job, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: job.Name + "-abcde", Namespace: job.Namespace, Labels: job.Spec.Template.Labels},
		Spec:       *job.Spec.Template.Spec.DeepCopy(),
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: ptr.To(ago(50 * time.Second)),
			Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{
				{Name: "opi-task", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(45 * time.Second)}}},
			},
		},
	}
	pod.Spec.NodeName = "node-1"
	for _, change := range changes {
		change(pod)
	}
	return pod
}

// callback is what Cloud Controller gets.
func callback(outcome *opi.Outcome) string {
	body, err := api.Encoder{}.EncodeOutcome(*outcome)
	if err != nil {
		return "not encoded: " + err.Error()
	}
	return string(body)
}

type world struct {
	*Tasks
	client     *fake.Clientset
	clock      *clocktesting.FakePassiveClock
	registered *prometheus.Registry
}

func newWorld(objects ...runtime.Object) world {
	w := world{client: fake.NewClientset(objects...), clock: clocktesting.NewFakePassiveClock(now), registered: prometheus.NewRegistry()}
	w.Tasks = New(Options{
		Settings: testSettings(), Dependencies: job.Dependencies{
			Client: w.client, Logger: lager.NewLogger("test"), Registerer: w.registered, Clock: w.clock,
		},
	})
	return w
}
