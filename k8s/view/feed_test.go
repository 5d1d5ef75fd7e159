package view

import (
	"context"
	"errors"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// fedView is a view that runs against server until the test ends.
func fedView(t *testing.T, server *apiServer, edit func(*Options)) *View {
	t.Helper()
	config := &rest.Config{Host: server.URL, QPS: -1, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	options := Options{
		Client:    kubernetes.NewForConfigOrDie(config),
		Metadata:  metadata.NewForConfigOrDie(config),
		Namespace: namespace,
		Logger:    lagertest.NewTestLogger("test"),
	}
	if edit != nil {
		edit(&options)
	}
	v := New(options)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		NewWithT(t).Eventually(done).WithTimeout(10 * time.Second).Should(Receive(BeNil()))
	})
	return v
}

func TestViewFollowsTheServer(t *testing.T) {
	for name, streams := range map[string]bool{"streamed lists": true, "plain lists": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			g.SetDefaultEventuallyTimeout(20 * time.Second)
			server := newAPIServer(t, streams)
			server.create("statefulsets", statefulSet("a", "uid-a", 0, annotated(keys.Secret, "s")))
			server.create("pods", ownedPod("uid-a", "p0", 0, 0, placed(true, running(5, true))))
			server.create("secrets", secretMeta("s", "uid-s", 0))
			server.create("nodes", node("node-1", 0, nodeReady(corev1.ConditionTrue, 1), inZone("z1")))
			registry := prometheus.NewRegistry()
			v := fedView(t, server, func(o *Options) { o.Registerer = registry })

			g.Eventually(v.Synced).Should(BeTrue())
			g.Expect(v.Fresh()).To(Succeed())
			g.Expect(v.LRPs()).To(HaveLen(1))
			lrp, _ := v.LRP(appID)
			g.Expect(v.Instances(lrp)).To(ConsistOf(HaveField("State", opi.InstanceRunning)))

			known, _ := v.Node("node-1")
			g.Expect(known.Zone).To(Equal("z1"))

			server.create("pods", ownedPod("uid-a", "p1", 1, 0))
			g.Eventually(func() []Pod { return v.Pods("uid-a") }).Should(HaveLen(2))
			lists, watches := server.asked("pods")
			g.Expect([]int{lists, watches}).To(Equal([]int{1, 1}))

			server.mu.Lock()
			defer server.mu.Unlock()
			g.Expect(server.selectors).To(HaveLen(6))
			for asked := range server.selectors {
				g.Expect(asked).To(Or(Equal("/api/v1/nodes?"), Equal("/api/v1/namespaces/"+namespace+"/events?"),
					And(ContainSubstring("/namespaces/"+namespace+"/"), HaveSuffix("?cloudfoundry.org/source_type=APP"))))
			}
			metrics := gathered(g, registry)
			for resource, objects := range map[string]float64{"statefulsets": 1, "pods": 2, "secrets": 1, "poddisruptionbudgets": 0, "nodes": 1} {
				g.Expect(metrics).To(HaveKeyWithValue("irene_view_objects "+resource, objects))
				g.Expect(metrics).To(HaveKeyWithValue("irene_view_synced "+resource, 1.0))
				g.Expect(metrics).To(HaveKeyWithValue("irene_view_seconds_since_progress "+resource, BeNumerically("<", 60)))
			}
		})
	}
}

// gathered are the gauges of a registry by name and the value of their label.
func gathered(g *WithT, registry *prometheus.Registry) map[string]float64 {
	families, err := registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	gauges := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			gauges[family.GetName()+" "+metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
		}
	}
	return gauges
}

func TestQuietWatchesAreReopened(t *testing.T) {
	for name, streams := range map[string]bool{"streamed lists": true, "plain lists": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			g.SetDefaultEventuallyTimeout(20 * time.Second)
			server := newAPIServer(t, streams)
			v := fedView(t, server, func(o *Options) { o.StaleAfter = 2 * time.Second })
			g.Eventually(v.Synced).Should(BeTrue())
			listsBefore, watchesBefore := server.asked("secrets")

			g.Eventually(func() int {
				_, watches := server.asked("secrets")
				return watches
			}).Should(BeNumerically(">=", watchesBefore+2))
			g.Eventually(v.Fresh).Should(Succeed())
			lists, _ := server.asked("secrets")
			g.Expect(lists).To(Equal(listsBefore), "nothing is listed again")

			server.create("secrets", secretMeta("s", "uid-s", 0))
			g.Eventually(func() []Secret { return v.Secrets(appID) }).Should(HaveLen(1))
		})
	}
}

func TestServerThatIsAway(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(30 * time.Second)
	server := newAPIServer(t, true)
	server.create("statefulsets", statefulSet("a", "uid-a", 0))
	v := fedView(t, server, func(o *Options) { o.StaleAfter = 2 * time.Second })
	g.Eventually(v.Fresh).Should(Succeed())

	server.stop()
	g.Eventually(v.Fresh).Should(MatchError(opi.ErrUnavailable))
	g.Expect(v.LRPs()).To(HaveLen(1), "what was known is still there")
	g.Expect(v.Synced()).To(BeTrue())

	server.create("statefulsets", statefulSet("b", "uid-b", 0))
	server.start()
	g.Eventually(v.Fresh).Should(Succeed())
	g.Eventually(func() []LRP { return v.Twins(appID) }).Should(HaveLen(2))
}

func TestNodesThatMayNotBeRead(t *testing.T) {
	for name, streams := range map[string]bool{"streamed lists": true, "plain lists": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			g.SetDefaultEventuallyTimeout(30 * time.Second)
			server := newAPIServer(t, streams)
			server.forbid("nodes", true)
			server.create("nodes", node("node-1", 0, nodeReady(corev1.ConditionTrue, 1)))
			registry, logger := prometheus.NewRegistry(), lagertest.NewTestLogger("test")
			v := fedView(t, server, func(o *Options) { o.Registerer, o.Logger = registry, logger })

			g.Eventually(v.Synced).Should(BeTrue())
			g.Expect(v.Fresh()).To(Succeed())
			g.Expect(v.Nodes()).To(BeEmpty())
			g.Expect(v.MostNodesLost()).To(BeFalse())
			g.Expect(gathered(g, registry)).To(HaveKeyWithValue("irene_view_synced nodes", 0.0))

			server.forbid("nodes", false)
			g.Eventually(v.Nodes).Should(HaveLen(1))
			g.Expect(gathered(g, registry)).To(HaveKeyWithValue("irene_view_synced nodes", 1.0))
			g.Expect(logger.Errors).To(HaveLen(1), "said once, however often it was tried")
			g.Expect(logger.Errors[0]).To(MatchError(ContainSubstring("Forbidden")))
		})
	}
}

func TestRunOnce(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	g.Expect(v.Run(ended)).To(Succeed())
	g.Expect(v.Run(ended)).To(MatchError(ContainSubstring("has run already")))
	g.Expect(func() { v.Subscribe(func(Change) {}) }).To(Panic())
}

func TestReflectorLog(t *testing.T) {
	g := NewWithT(t)
	logger := lagertest.NewTestLogger("test")
	var sink = (&reflectorLog{logger: logger}).WithName("pods").WithName("sub").WithValues("type", "Pod")
	g.Expect(sink.Enabled(0)).To(BeTrue())
	g.Expect(sink.Enabled(2)).To(BeFalse())
	sink.Error(errors.New("refused"), "Failed to watch", "attempt", 3)
	sink.Info(0, "Watch closed")
	logs := logger.Logs()
	g.Expect(logs).To(HaveLen(2))
	g.Expect(logs[0].Data).To(And(HaveKeyWithValue("error", "refused"), HaveKeyWithValue("logger", "pods.sub"),
		HaveKeyWithValue("type", "Pod"), HaveKeyWithValue("attempt", "3"), HaveKeyWithValue("message", "Failed to watch")))
	g.Expect(logs[1].Data).To(HaveKeyWithValue("message", "Watch closed"))
}
