//go:build controlplane

package control_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/devcluster"
	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// startNodeCluster is a control plane that leaves it to others to say which nodes
// are ready.
func startNodeCluster(t *testing.T) *rest.Config {
	t.Helper()
	g := NewWithT(t)
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{
		ControllerArgs: []string{"controllers=*,-node-lifecycle-controller,-taint-eviction-controller"},
	}, os.Stderr)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(cluster.Stop()).To(Succeed()) })
	config, err := cluster.RESTConfig()
	g.Expect(err).NotTo(HaveOccurred())
	return config
}

// lostWorld is a namespace, nodes and a view for one test.
type lostWorld struct {
	g         *WithT
	t         *testing.T
	ctx       context.Context
	cluster   *rest.Config
	namespace string
	client    kubernetes.Interface
	view      *view.View
	options   control.LostNodesOptions
	clock     *testingclock.FakeClock
	events    *record.FakeRecorder
	metrics   *prometheus.Registry
	// faults chooses requests of the controller that get no answer.
	faults     faults
	freezeView context.CancelFunc
}

type faults struct{ atomic.Value }

func newLostWorld(t *testing.T, g *WithT, cluster *rest.Config) *lostWorld {
	t.Helper()
	w := &lostWorld{g: g, t: t, ctx: t.Context(), cluster: cluster,
		clock: testingclock.NewFakeClock(time.Now().Truncate(time.Second)), metrics: prometheus.NewRegistry(),
		events: &record.FakeRecorder{Events: make(chan string, 100), IncludeObject: true}}
	w.client = kubernetes.NewForConfigOrDie(cluster)
	namespace, err := w.client.CoreV1().Namespaces().Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "lost-"}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	w.namespace = namespace.Name
	g.Eventually(func() error {
		_, err := w.client.CoreV1().ServiceAccounts(w.namespace).Get(w.ctx, "default", metav1.GetOptions{})
		return err
	}).Should(Succeed())
	t.Cleanup(w.removeNodes)

	failing := rest.CopyConfig(cluster)
	w.faults.Store(func(*http.Request) bool { return false })
	failing.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if w.faults.Load().(func(*http.Request) bool)(r) {
				return nil, errors.New("no answer")
			}
			return next.RoundTrip(r)
		})
	})
	logger := lagertest.NewTestLogger("test")
	w.view = view.New(view.Options{Client: w.client, Metadata: metadata.NewForConfigOrDie(cluster), Namespace: w.namespace, Logger: logger})
	client := kubernetes.NewForConfigOrDie(failing).CoreV1()
	w.options = control.LostNodesOptions{Nodes: client, Pods: client, View: w.view, Events: w.events, Logger: logger,
		Namespace: w.namespace, Clock: w.clock, Grace: grace}
	return w
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// run runs the controller until the test ends or it is stopped, and the view with
// the first one.
func (w *lostWorld) run(edit func(*control.LostNodesOptions)) (stop func()) {
	return w.runUntil(w.ctx, edit)
}

func (w *lostWorld) runUntil(ctx context.Context, edit func(*control.LostNodesOptions)) (stop func()) {
	w.t.Helper()
	registry := prometheus.NewRegistry()
	appsView := w.view
	if w.freezeView == nil {
		registry = w.metrics
	} else { // subscribing is over for a view that runs
		appsView = view.New(view.Options{Client: w.client, Metadata: metadata.NewForConfigOrDie(w.cluster), Namespace: w.namespace, Logger: w.options.Logger})
	}
	options := w.options
	options.View, options.Registerer = appsView, registry
	if edit != nil {
		edit(&options)
	}
	controller := control.NewLostNodes(options)
	viewContext, freeze := context.WithCancel(w.ctx)
	viewDone := w.in(func() error { return appsView.Run(viewContext) })
	if w.freezeView == nil {
		w.freezeView = func() { freeze(); <-viewDone }
	}
	running, cancel := context.WithCancel(ctx)
	done := w.in(func() error { return controller.Run(running) })
	stop = func() { cancel(); <-done }
	w.t.Cleanup(func() { stop(); freeze(); <-viewDone })
	w.g.Eventually(appsView.Synced).Should(BeTrue())
	return stop
}

func (w *lostWorld) in(f func() error) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f(); err != nil {
			w.t.Error(err)
		}
	}()
	return done
}

// wait lets time pass.
func (w *lostWorld) wait(d time.Duration) { w.clock.Step(d) }

// goes is for pods that are removed as time goes on.
func (w *lostWorld) goes(pods ...*corev1.Pod) {
	w.t.Helper()
	for _, pod := range pods {
		w.g.Eventually(func() bool {
			w.wait(time.Second)
			return w.exists(pod)()
		}).Should(BeFalse(), pod.Name)
	}
}

// measured are the controller's metrics by name.
func (w *lostWorld) measured() map[string]float64 {
	families, err := w.metrics.Gather()
	w.g.Expect(err).NotTo(HaveOccurred())
	values := map[string]float64{}
	for _, family := range families {
		metric := family.GetMetric()[0]
		values[family.GetName()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
	}
	return values
}

// told are the Events since it was last asked.
func (w *lostWorld) told() (events []string) {
	for {
		select {
		case event := <-w.events.Events:
			events = append(events, event)
		default:
			return events
		}
	}
}

// name makes a node's name the test's own.
func (w *lostWorld) name(node string) string { return w.namespace + "-" + node }

// nodes makes ready nodes.
func (w *lostWorld) nodes(count int) {
	for n := range count {
		w.node("node-" + string(rune('1'+n)))
	}
}

func (w *lostWorld) node(name string) {
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100"), corev1.ResourceMemory: resource.MustParse("1Ti"), corev1.ResourcePods: resource.MustParse("100")}
	_, err := w.client.CoreV1().Nodes().Create(w.ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: w.name(name)},
		Status: corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.clock.Now())},
		}},
	}, metav1.CreateOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
}

// renew puts another node in the place of one, which is lost as well.
func (w *lostWorld) renew(name string) {
	w.g.Expect(w.client.CoreV1().Nodes().Delete(w.ctx, w.name(name), metav1.DeleteOptions{})).To(Succeed())
	w.node(name)
	w.judge(name, corev1.ConditionUnknown)
}

func (w *lostWorld) removeNodes() {
	nodes, err := w.client.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	for _, node := range nodes.Items {
		err := w.client.CoreV1().Nodes().Delete(context.Background(), node.Name, metav1.DeleteOptions{})
		w.g.Expect(err == nil || apierrors.IsNotFound(err)).To(BeTrue())
	}
}

// judge writes a node's condition and says since when it is so.
func (w *lostWorld) judge(name string, status corev1.ConditionStatus) time.Time {
	w.t.Helper()
	since := w.clock.Now().Truncate(time.Second)
	w.g.Expect(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		node, err := w.client.CoreV1().Nodes().Get(w.ctx, w.name(name), metav1.GetOptions{})
		if err != nil {
			return err
		}
		node.Status.Conditions[0].Status = status
		node.Status.Conditions[0].LastTransitionTime = metav1.NewTime(since)
		_, err = w.client.CoreV1().Nodes().UpdateStatus(w.ctx, node, metav1.UpdateOptions{})
		return err
	})).To(Succeed())
	return since
}

// lose makes a node silent and its pods unready, as Kubernetes' node controller does.
func (w *lostWorld) lose(name string) time.Time {
	w.t.Helper()
	since := w.judge(name, corev1.ConditionUnknown)
	w.ready(name, corev1.ConditionFalse)
	return since
}

// recover lets the node's kubelet report again.
func (w *lostWorld) recover(name string) {
	w.t.Helper()
	w.judge(name, corev1.ConditionTrue)
	w.ready(name, corev1.ConditionTrue)
}

func (w *lostWorld) ready(node string, status corev1.ConditionStatus) {
	w.t.Helper()
	pods, err := w.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + w.name(node)})
	w.g.Expect(err).NotTo(HaveOccurred())
	for _, pod := range pods.Items {
		w.report(pod.Name, func(s *corev1.PodStatus) {
			for i := range s.Conditions {
				if s.Conditions[i].Type == corev1.PodReady {
					s.Conditions[i].Status = status
				}
			}
		})
	}
}

func (w *lostWorld) report(pod string, change func(*corev1.PodStatus)) {
	w.t.Helper()
	w.g.Expect(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		held, err := w.client.CoreV1().Pods(w.namespace).Get(w.ctx, pod, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(&held.Status)
		_, err = w.client.CoreV1().Pods(w.namespace).UpdateStatus(w.ctx, held, metav1.UpdateOptions{})
		return err
	})).To(Succeed())
}

func (w *lostWorld) id(name string) opi.LRPIdentifier {
	return opi.LRPIdentifier{GUID: name, Version: "v1"}
}

func (w *lostWorld) labels(name, sourceType string) map[string]string {
	labels := map[string]string{"app": name}
	if sourceType != "" {
		labels[keys.SourceType], labels[keys.GUID], labels[keys.Version] = sourceType, name, "v1"
	}
	return labels
}

func (w *lostWorld) podSpec(node string) corev1.PodSpec {
	return corev1.PodSpec{
		NodeName:                      w.name(node),
		TerminationGracePeriodSeconds: ptr.To(int64(15)),
		Containers:                    []corev1.Container{{Name: keys.AppContainer, Image: "app"}},
	}
}

// started waits for the one pod of an app, task or no owner, and lets it run.
func (w *lostWorld) started(app string) *corev1.Pod {
	w.t.Helper()
	var pod *corev1.Pod
	w.g.Eventually(func() []string { return w.podNames(app) }).Should(HaveLen(1))
	name := w.podNames(app)[0]
	w.report(name, func(s *corev1.PodStatus) {
		s.Phase, s.PodIP = corev1.PodRunning, "10.1.2.3"
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: keys.AppContainer, Started: ptr.To(true), Ready: true,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}}
		s.Conditions = []corev1.PodCondition{
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
		}
	})
	pod, err := w.client.CoreV1().Pods(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	return pod
}

func (w *lostWorld) podNames(app string) []string {
	pods, err := w.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	w.g.Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, pod := range pods.Items {
		names = append(names, pod.Name)
	}
	slices.Sort(names)
	return names
}

// exists is whether this very pod is there.
func (w *lostWorld) exists(pod *corev1.Pod) func() bool {
	return func() bool {
		held, err := w.client.CoreV1().Pods(w.namespace).Get(w.ctx, pod.Name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			w.g.Expect(err).NotTo(HaveOccurred())
		}
		return err == nil && held.UID == pod.UID
	}
}
