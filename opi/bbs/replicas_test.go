package bbs_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"code.cloudfoundry.org/bbs/models"
	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/tasks"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

// readyImages has every image.
type readyImages struct{}

func (readyImages) ResolveTaskImage(context.Context, opi.Task) (render.ResolvedImage, error) {
	return render.ResolvedImage{AppImage: render.AppImage{Revision: "4f1a9c07", Stack: "cflinuxfs4"}}, nil
}

// FindTaskImage implements tasks.Images.
func (r readyImages) FindTaskImage(ctx context.Context, task opi.Task) (render.ResolvedImage, bool, error) {
	image, err := r.ResolveTaskImage(ctx, task)
	return image, false, err
}

// newReplica is a door of a process with tasks in Kubernetes.
func newReplica(client *fake.Clientset, clock *clocktesting.FakePassiveClock) *door {
	made := tasks.New(tasks.Options{
		Dependencies: job.Dependencies{Client: client, Logger: lager.NewLogger("test"), Registerer: prometheus.NewRegistry(), Clock: clock},
		Settings: tasks.Settings{
			Translation: render.Settings{
				Namespace: "cf-apps", Registry: render.RegistrySettings{PullAddress: "127.0.0.1:32123"}, DefaultDiskMiB: 1024,
			},
			Limits: job.Limits{LostNodeGrace: time.Minute},
		},
		Images: readyImages{},
	})
	return newDoor(newPlatform(), func(o *bbs.Options) { o.Tasks = made })
}

// Cloud Controller sends a request up to six times, to any replica.
func TestATaskThatIsSentAgainToAnyReplica(t *testing.T) {
	g := NewWithT(t)
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	client := fake.NewClientset()
	client.PrependReactor("create", "jobs", func(action clienttesting.Action) (bool, runtime.Object, error) {
		created := action.(clienttesting.CreateAction).GetObject().(*batchv1.Job)
		created.CreationTimestamp = metav1.NewTime(clock.Now())
		return false, nil, nil
	})
	replicas := []*door{newReplica(client, clock), newReplica(client, clock)}
	body := example(g, "31-desire-task-run-buildpack-plain")
	ok, exists := example(g, "48-lifecycle-response-ok"), example(g, "45-error-exists")
	jobs := client.BatchV1().Jobs("cf-apps")

	for range 3 {
		for _, replica := range replicas {
			answer := replica.sendAs("one", desireTaskPath, body)
			g.Expect(answer.Code).To(Equal(http.StatusOK), answer.Body.String())
			g.Expect(answer.Body.Bytes()).To(Equal(ok))
			clock.SetTime(clock.Now().Add(11 * time.Second))
		}
	}
	list, err := jobs.List(t.Context(), metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(list.Items).To(HaveLen(1))
	g.Expect(replicas[0].sendAs("two", desireTaskPath, body).Body.Bytes()).To(Equal(exists))
	g.Expect(replicas[0].sendAs("", desireTaskPath, body).Body.Bytes()).To(Equal(exists))

	found := list.Items[0].DeepCopy()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "cf-apps", Name: "pod", Labels: found.Spec.Template.Labels}, Spec: corev1.PodSpec{NodeName: "node-1"}}
	_, err = client.CoreV1().Pods("cf-apps").Create(t.Context(), pod, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	var got models.TaskResponse
	decode(g, replicas[1].send("/v1/tasks/get_by_task_guid.r2", example(g, "36-get-task")), &got)
	g.Expect(got.Task.Domain).To(Equal("cf-tasks"))
	g.Expect(got.Task.RootFs).To(Equal("preloaded:cflinuxfs4"))
	g.Expect(got.Task.LogGuid).To(Equal(appGUID))
	g.Expect(got.Task.CellId).To(Equal("node-1"))
	g.Expect(got.Task.State).To(Equal(models.Task_Running))
	g.Expect(got.Task.CompletionCallbackUrl).To(BeEmpty())

	// Its end is decided and not yet reported.
	found.Annotations[keys.Outcome] = "{}"
	_, err = jobs.Update(t.Context(), found, metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(replicas[1].sendAs("one", desireTaskPath, body).Body.Bytes()).To(Equal(ok))
	g.Expect(replicas[0].send("/v1/tasks/cancel", example(g, "34-cancel-task")).Body.Bytes()).To(Equal(ok))

	// Cloud Controller has answered it.
	found.Annotations[keys.OutcomeAnswer] = "200 2026-03-01T12:01:10Z"
	_, err = jobs.Update(t.Context(), found, metav1.UpdateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	clock.SetTime(clock.Now().Add(time.Minute))
	g.Expect(replicas[1].sendAs("one", desireTaskPath, body).Body.Bytes()).To(Equal(exists))
	g.Expect(errorOf(g, replicas[1].send("/v1/tasks/cancel", example(g, "34-cancel-task")))).To(Equal(models.ErrResourceNotFound))
	g.Expect(replicas[0].send("/v1/tasks/get_by_task_guid.r2", example(g, "36-get-task")).Body.Bytes()).To(Equal(example(g, "50-task-error-not-found")))
}
