package tasks

import (
	"context"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/events"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/jobtest"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// What Decide says is what Cloud Controller takes.
func TestCloudControllerTakesTheOutcome(t *testing.T) {
	g := NewWithT(t)
	cc, err := standin.Start(standin.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(cc.Close()).To(Succeed()) }()
	w := newWorld()
	w.options.Images = &images{}
	task := testTask()
	task.CompletionCallback = cc.AddTask(task.GUID)
	g.Expect(w.Desire(t.Context(), task)).To(Succeed())

	client, err := events.NewCloudController(events.ClientOptions{
		RequestTimeout: 10 * time.Second, Logger: lager.NewLogger("test"), Registerer: prometheus.NewRegistry(),
	})
	g.Expect(err).NotTo(HaveOccurred())
	reports, err := events.NewJobs(events.Options{
		Kubernetes: w.client, Namespace: "cf-apps", Kinds: map[string]events.Decider{keys.SourceTypeTask: w.Tasks},
		Doors:           events.Doors{opi.DoorOPI: api.Encoder{}},
		CloudController: client, Logger: lager.NewLogger("test"), Registerer: prometheus.NewRegistry(),
	})
	g.Expect(err).NotTo(HaveOccurred())
	jobs, _ := w.objects(t)
	job := jobs[0]
	pod := testPod(&job, exited(3, "Error", "", 0), jobtest.PodFailed("", ""))
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID, Controller: ptr.To(true)}}
	pod.Labels["batch.kubernetes.io/controller-uid"] = string(job.UID)
	_, err = w.client.CoreV1().Pods("cf-apps").Create(t.Context(), pod, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	// Not before: the fake API server forgets what happens between a list and its watch.
	life, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- reports.Run(life) }()
	g.Eventually(func() standin.Task {
		told, _ := cc.Task(task.GUID)
		return told
	}).WithTimeout(20 * time.Second).Should(Equal(standin.Task{GUID: task.GUID, Ended: true, Failed: true, FailureReason: "Exited with status 3"}))
	g.Eventually(func() error { return w.Get(t.Context(), task.GUID) }).WithTimeout(20 * time.Second).Should(HaveOccurred())
	end()
	g.Expect(<-ended).To(Succeed())
	g.Expect(cc.Received(standin.TaskCompleted, task.GUID)).To(HaveLen(1))
}
