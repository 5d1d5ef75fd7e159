package k8s_test

import (
	"context"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	kubetesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/keys"
)

func reportedJob(name string, finalizers ...string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: name, UID: types.UID("uid-of-" + name), Finalizers: finalizers}}
}

func TestReleasedJobsCanBeDeleted(t *testing.T) {
	g := NewWithT(t)
	suspended := reportedJob("suspended", keys.ReportFinalizer)
	suspended.Spec.Suspend = ptr.To(true)
	elsewhere := reportedJob("elsewhere", keys.ReportFinalizer)
	elsewhere.Namespace = "other"
	client := fake.NewClientset(
		reportedJob("running", keys.ReportFinalizer, "example.org/other"), suspended, elsewhere, reportedJob("foreign", "example.org/other"))
	var deleted []string
	client.PrependReactor("delete", "jobs", func(action kubetesting.Action) (bool, runtime.Object, error) {
		deleted = append(deleted, action.(kubetesting.DeleteAction).GetName())
		return true, nil, nil // a finalizer keeps it
	})

	released, err := k8s.ReleaseJobs(context.Background(), client, "apps")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(released).To(Equal(2))
	g.Expect(deleted).To(ConsistOf("suspended"))
	get := func(namespace, name string) *batchv1.Job {
		job, err := client.BatchV1().Jobs(namespace).Get(context.Background(), name, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		return job
	}
	running := get("apps", "running")
	g.Expect(running.Finalizers).To(ConsistOf("example.org/other"))
	g.Expect(running.Spec.TTLSecondsAfterFinished).To(HaveValue(BeEquivalentTo(3600)))
	g.Expect(get("apps", "suspended").Finalizers).To(BeEmpty())
	foreign := get("apps", "foreign")
	g.Expect(foreign.Finalizers).To(ConsistOf("example.org/other"))
	g.Expect(foreign.Spec.TTLSecondsAfterFinished).To(BeNil())
	g.Expect(get("other", "elsewhere").Finalizers).To(ConsistOf(keys.ReportFinalizer))
}

func TestReleasedPodsLoseTheFinalizerOfTheBackoffOnly(t *testing.T) {
	g := NewWithT(t)
	pod := func(namespace, name string, finalizers ...string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name), Finalizers: finalizers}}
	}
	pods := []*corev1.Pod{
		pod("apps", "greedy", "example.org/other", keys.CrashBackoffFinalizer), pod("apps", "foreign", "example.org/other"),
		pod("apps", "plain"), pod("other", "elsewhere", keys.CrashBackoffFinalizer),
	}
	client := fake.NewClientset()
	scheme := metadatafake.NewTestScheme()
	g.Expect(metav1.AddMetaToScheme(scheme)).To(Succeed())
	listed := metadatafake.NewSimpleMetadataClient(scheme)
	for _, pod := range pods {
		g.Expect(client.Tracker().Add(pod)).To(Succeed())
		g.Expect(listed.Tracker().Add(&metav1.PartialObjectMetadata{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: pod.ObjectMeta,
		})).To(Succeed())
	}
	released, err := k8s.ReleasePods(context.Background(), client, listed, "apps")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(released).To(Equal(1))
	for name, want := range map[string][]string{"apps/greedy": {"example.org/other"}, "apps/foreign": {"example.org/other"}, "apps/plain": nil, "other/elsewhere": {keys.CrashBackoffFinalizer}} {
		namespace, pod, _ := strings.Cut(name, "/")
		live, err := client.CoreV1().Pods(namespace).Get(context.Background(), pod, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(live.Finalizers).To(Equal(want), name)
	}
}

func TestAReleaseThatWasRefusedIsTriedAgain(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset(reportedJob("build", keys.ReportFinalizer))
	refusals := 1
	client.PrependReactor("patch", "jobs", func(kubetesting.Action) (bool, runtime.Object, error) {
		if refusals == 0 {
			return false, nil, nil
		}
		refusals--
		return true, nil, apierrors.NewConflict(batchv1.Resource("jobs"), "build", nil)
	})
	released, err := k8s.ReleaseJobs(context.Background(), client, "apps")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(released).To(Equal(1))
}
