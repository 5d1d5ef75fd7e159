//go:build controlplane

package control_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/keys"
)

// The nodes of these tests have no kubelet, and Kubernetes does not judge them: the
// tests say what is known of them, by a clock of their own.

const grace = time.Minute

func TestLostNodes(t *testing.T) {
	cluster := startNodeCluster(t)
	for name, test := range map[string]func(*testing.T, *lostWorld){
		"one of four is lost":               oneOfFourIsLost,
		"the node is back before the grace": backBeforeTheGrace,
		"most nodes are lost":               mostNodesAreLost,
		"what is removed and what is not":   whatIsRemoved,
		"pods with claims":                  podsWithClaims,
		"reports come first":                reportsComeFirst,
		"killed in between":                 killedInBetween,
		"the API server fails":              theAPIServerFails,
		"the view is behind":                theViewIsBehind,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.SetDefaultEventuallyTimeout(20 * time.Second)
			g.SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
			g.SetDefaultConsistentlyDuration(500 * time.Millisecond)
			test(t, newLostWorld(t, g, cluster))
		})
	}
}

func oneOfFourIsLost(_ *testing.T, w *lostWorld) {
	w.nodes(4)
	lost, fine := w.app("app", "node-1"), w.app("other", "node-2")
	job := w.job("task", "node-1")
	w.run(nil)
	w.g.Eventually(w.routable(lost)).Should(BeTrue())

	w.lose("node-1")
	w.g.Eventually(w.routable(lost)).Should(BeFalse(), "before the grace")
	w.wait(grace - time.Second)
	w.g.Consistently(w.exists(lost)).Should(BeTrue())
	w.goes(lost, job)
	w.g.Eventually(func() []string { return w.podNames("app") }).Should(Equal([]string{"app-0"}), "the StatefulSet makes another")
	w.g.Eventually(func(g Gomega) {
		failed, err := w.client.BatchV1().Jobs(w.namespace).Get(w.ctx, "task", metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(failed.Status.Conditions).To(ContainElement(HaveField("Type", batchv1.JobFailed)))
	}).Should(Succeed())
	w.g.Expect(w.exists(fine)()).To(BeTrue())
	w.g.Expect(w.routable(fine)()).To(BeTrue())
	w.g.Expect(w.told()).To(ConsistOf(
		And(HavePrefix("Normal DeletedFromLostNode instance 0 was on node "+w.name("node-1")+", which has not reported for 1m"), ContainSubstring("s: its pod was deleted"), ContainSubstring("kind=StatefulSet")),
		And(HavePrefix("Normal DeletedFromLostNode pod "+job.Name+" was on node "), ContainSubstring("kind=Job")),
	))
	w.g.Eventually(w.measured).Should(And(
		HaveKeyWithValue("irene_lost_nodes", 1.0),
		HaveKeyWithValue("irene_lost_node_pods_deleted_total", 2.0),
		HaveKeyWithValue("irene_lost_node_failures_total", 0.0),
	))
}

func backBeforeTheGrace(_ *testing.T, w *lostWorld) {
	w.nodes(4)
	app := w.app("app", "node-1")
	w.run(nil)
	w.lose("node-1")
	w.g.Eventually(w.routable(app)).Should(BeFalse())
	w.wait(grace - time.Second)
	w.recover("node-1")
	w.g.Eventually(w.routable(app)).Should(BeTrue())
	w.wait(10 * time.Second)
	w.g.Consistently(w.exists(app)).Should(BeTrue())

	w.lose("node-1") // the grace begins anew
	w.wait(grace - time.Second)
	w.g.Consistently(w.exists(app)).Should(BeTrue())
	w.goes(app)
}

func mostNodesAreLost(_ *testing.T, w *lostWorld) {
	w.nodes(3)
	first, second := w.app("first", "node-1"), w.app("second", "node-2")
	w.run(nil)
	w.lose("node-1")
	w.g.Eventually(w.routable(first)).Should(BeFalse())
	w.lose("node-2")
	w.g.Eventually(w.routable(first)).Should(BeTrue(), "it is the network")
	w.g.Eventually(w.routable(second)).Should(BeTrue())
	for range 3 {
		w.wait(grace)
		w.g.Consistently(w.exists(first)).Should(BeTrue())
		w.g.Expect(w.exists(second)()).To(BeTrue())
	}

	w.recover("node-2")
	w.g.Eventually(w.routable(first)).Should(BeFalse())
	w.g.Eventually(w.routable(second)).Should(BeTrue())
	w.goes(first)
	w.g.Expect(w.exists(second)()).To(BeTrue())
}

func whatIsRemoved(_ *testing.T, w *lostWorld) {
	w.nodes(6)
	terminating := w.pod("terminating", "node-1", keys.SourceTypeApp)
	w.g.Expect(w.client.CoreV1().Pods(w.namespace).Delete(w.ctx, terminating.Name, metav1.DeleteOptions{})).To(Succeed())
	orphan, staging := w.pod("orphan", "node-1", keys.SourceTypeApp), w.pod("staging", "node-1", "STG")
	ended := w.pod("ended", "node-1", "TASK")
	w.report(ended.Name, func(s *corev1.PodStatus) { s.Phase = corev1.PodSucceeded })
	notOurs := w.pod("not-ours", "node-1", "")
	unready := w.pod("unready", "node-2", keys.SourceTypeApp)
	onGone := w.pod("on-gone", "node-3", keys.SourceTypeApp)
	w.run(nil)
	w.lose("node-1")
	w.judge("node-2", corev1.ConditionFalse)
	w.lose("node-3")
	w.g.Expect(w.client.CoreV1().Nodes().Delete(w.ctx, w.name("node-3"), metav1.DeleteOptions{})).To(Succeed())
	w.wait(grace)
	w.goes(terminating, orphan, staging)
	for _, pod := range []*corev1.Pod{ended, notOurs, unready, onGone} {
		w.g.Expect(w.exists(pod)()).To(BeTrue(), pod.Name)
	}
	w.g.Expect(w.told()).To(ContainElement(ContainSubstring("whose end nobody could confirm")))

	late := w.pod("late", "node-1", "TASK") // bound in the moment when the node went
	w.goes(late)
}

func podsWithClaims(_ *testing.T, w *lostWorld) {
	w.nodes(4)
	pod := w.pod("db-0", "node-1", keys.SourceTypeApp, func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	})
	other := w.pod("task", "node-1", "TASK")
	stop := w.run(nil)
	w.lose("node-1")
	w.wait(grace)
	w.goes(other)
	for range 3 {
		w.wait(time.Minute)
		w.g.Consistently(w.exists(pod)).Should(BeTrue())
	}
	w.g.Expect(w.told()).To(ConsistOf(
		ContainSubstring("DeletedFromLostNode"),
		And(HavePrefix("Warning KeptOnLostNode instance 0 "), ContainSubstring("because it has volumes")),
	), "said once")
	stop()
	w.run(func(l *control.LostNodesOptions) { l.PodsWithClaims = true })
	w.goes(pod)
}

func reportsComeFirst(_ *testing.T, w *lostWorld) {
	w.nodes(4)
	app, task := w.app("app", "node-1"), w.job("task", "node-1")
	stopped := w.pod("stopped", "node-1", keys.SourceTypeApp)
	w.g.Expect(w.client.CoreV1().Pods(w.namespace).Delete(w.ctx, stopped.Name, metav1.DeleteOptions{})).To(Succeed())
	var mutex sync.Mutex
	var reports []control.LostInstance
	var accept atomic.Bool
	w.run(func(l *control.LostNodesOptions) {
		l.Rescheduled = func(_ context.Context, instance control.LostInstance) error {
			mutex.Lock()
			defer mutex.Unlock()
			reports = append(reports, instance)
			if !accept.Load() {
				return errors.New("not now")
			}
			return nil
		}
	})
	since := w.lose("node-1")
	w.wait(grace)
	w.goes(task, stopped)
	w.g.Eventually(w.measured).Should(HaveKeyWithValue("irene_lost_node_failures_total", BeNumerically(">", 0)))
	w.g.Expect(w.exists(app)()).To(BeTrue())
	accept.Store(true)
	w.goes(app)
	mutex.Lock()
	defer mutex.Unlock()
	w.g.Expect(reports).To(HaveEach(Equal(control.LostInstance{
		LRP: w.id("app"), Index: 0, GUID: string(app.UID), Node: w.name("node-1"), Since: since,
	})))
}

func killedInBetween(_ *testing.T, w *lostWorld) {
	w.nodes(4)
	app, task := w.app("app", "node-1"), w.job("task", "node-1")
	stop := w.run(nil)
	w.lose("node-1")
	w.g.Eventually(w.routable(app)).Should(BeFalse())
	w.wait(grace / 2)
	stop()
	w.wait(grace / 2)
	w.g.Expect(w.exists(app)()).To(BeTrue())
	// The next one dies between two pods.
	ctx, kill := context.WithCancel(w.ctx)
	stop = w.runUntil(ctx, func(l *control.LostNodesOptions) {
		l.Rescheduled = func(ctx context.Context, _ control.LostInstance) error {
			kill()
			return ctx.Err()
		}
	})
	w.g.Eventually(ctx.Done()).Should(BeClosed())
	stop()
	w.g.Expect(w.exists(app)()).To(BeTrue())
	w.run(nil)
	w.g.Eventually(w.exists(app)).Should(BeFalse(), "the grace does not begin anew")
	w.goes(task)
}

func theAPIServerFails(_ *testing.T, w *lostWorld) {
	w.nodes(4)
	first, second := w.app("first", "node-1"), w.app("second", "node-1")
	var deletes atomic.Int32
	w.faults.Store(func(r *http.Request) bool {
		return r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/pods/"+first.Name) && deletes.Add(1) < 4
	})
	w.run(nil)
	w.lose("node-1")
	w.wait(grace)
	w.goes(second)
	w.goes(first)
	w.g.Eventually(w.measured).Should(HaveKeyWithValue("irene_lost_node_failures_total", 3.0))
}

func theViewIsBehind(t *testing.T, w *lostWorld) {
	for name, change := range map[string]func(*lostWorld){
		"the node is back": func(w *lostWorld) { w.recover("node-1") },
		"it was made anew": func(w *lostWorld) { w.renew("node-1") },
		"most others went": func(w *lostWorld) { w.lose("node-2"); w.lose("node-3") },
		"it came and went": func(w *lostWorld) { w.recover("node-1"); w.wait(time.Second); w.lose("node-1") },
		"nodes are forbidden": func(w *lostWorld) {
			w.faults.Store(func(r *http.Request) bool { return r.URL.Path == "/api/v1/nodes" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.SetDefaultEventuallyTimeout(20 * time.Second)
			w := newLostWorld(t, g, w.cluster)
			w.nodes(4)
			app := w.app("app", "node-1")
			w.run(nil)
			w.lose("node-1")
			g.Eventually(w.routable(app)).Should(BeFalse())
			w.freezeView()
			change(w)
			w.wait(grace)
			g.Consistently(w.exists(app)).WithTimeout(time.Second).Should(BeTrue())
		})
	}
}

// app is an LRP with one instance, which runs on a node.
func (w *lostWorld) app(name, node string) *corev1.Pod {
	labels := w.labels(name, keys.SourceTypeApp)
	_, err := w.client.AppsV1().StatefulSets(w.namespace).Create(w.ctx, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: w.podSpec(node)},
		},
	}, metav1.CreateOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	return w.started(name)
}

// job is a Job with one pod, which runs on a node.
func (w *lostWorld) job(name, node string) *corev1.Pod {
	labels := w.labels(name, "TASK")
	spec := w.podSpec(node)
	spec.RestartPolicy = corev1.RestartPolicyNever
	_, err := w.client.BatchV1().Jobs(w.namespace).Create(w.ctx, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To(int32(0)),
			Template:     corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}, metav1.CreateOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	return w.started(name)
}

// pod is one that nobody owns.
func (w *lostWorld) pod(name, node, sourceType string, edits ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: w.labels(name, sourceType)}, Spec: w.podSpec(node)}
	for _, edit := range edits {
		edit(pod)
	}
	_, err := w.client.CoreV1().Pods(w.namespace).Create(w.ctx, pod, metav1.CreateOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	return w.started(name)
}

func (w *lostWorld) routable(pod *corev1.Pod) func() bool {
	owner := metav1.GetControllerOfNoCopy(pod).UID
	return func() bool {
		for _, held := range w.view.Pods(owner) {
			if held.UID == pod.UID {
				return w.view.Routable(held)
			}
		}
		return false
	}
}
