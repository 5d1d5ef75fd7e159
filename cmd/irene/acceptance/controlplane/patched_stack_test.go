//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

const (
	surgeAnnotation = "irene.cloudfoundry.org/surge"
	rollAnnotation  = "irene.cloudfoundry.org/stack-roll"
	stackAnnotation = "irene.cloudfoundry.org/stack"
	lrpAnnotation   = "irene.cloudfoundry.org/lrp"
	revisionLabel   = "cloudfoundry.org/rootfs-version"
	newRevision     = "0123456789ab"
)

// patchedStack is a stack of one spec, and its images on the revision that the spec's
// apps are not on yet.
type patchedStack struct {
	*controlplane.Platform
	name string
	// assemble, where set, answers instead.
	assemble func(opi.LRP) (render.AppImage, error)
	// config leads to the API server.
	config *rest.Config
}

func newPatchedStack(p *controlplane.Platform) *patchedStack {
	return &patchedStack{Platform: p, name: "stack-" + cloudcontroller.NewGUID()[:8], config: apiConfig}
}

// Assemble implements control.AppImages.
func (s *patchedStack) Assemble(_ context.Context, lrp opi.LRP) (render.AppImage, error) {
	if s.assemble != nil {
		return s.assemble(lrp)
	}
	return render.AppImage{Stack: lrp.RootFS.Stack, Revision: newRevision}, nil
}

// takes puts a running app on the stack.
func (s *patchedStack) takes(ctx context.Context, d cloudcontroller.Desire) appsv1.StatefulSet {
	GinkgoHelper()
	set := s.StatefulSet(ctx, d.GUID())
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, stackAnnotation, s.name)
	_, err := api.AppsV1().StatefulSets(s.Namespace).Patch(ctx, set.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	Expect(err).NotTo(HaveOccurred())
	return s.StatefulSet(ctx, d.GUID())
}

// started is an app that runs on the stack, on its old revision; the platform is the
// common one.
func (s *patchedStack) started(ctx context.Context, node *controlplane.ImageKubelet, name string, instances int) (cloudcontroller.Desire, appsv1.StatefulSet) {
	GinkgoHelper()
	d := node.App(name, instances)
	run(ctx, irene, d)
	Eventually(func() int32 { return s.StatefulSet(ctx, d.GUID()).Status.ReadyReplicas }).Should(BeEquivalentTo(instances))
	return d, s.takes(ctx, d)
}

// newImage is the one that an app on the stack gets.
func newImage(set appsv1.StatefulSet) string {
	image := set.Spec.Template.Spec.Containers[0].Image
	return image[:len(image)-len(set.Labels[revisionLabel])] + newRevision
}

// backEnd has what a command or a leader makes for itself.
type backEnd struct {
	client       kubernetes.Interface
	view         *view.View
	statefulSets *live.StatefulSets
	logger       lager.Logger
}

func (s *patchedStack) backEnd(clock clock.PassiveClock) backEnd {
	GinkgoHelper()
	logger := lager.NewLogger("test")
	logger.RegisterSink(lager.NewWriterSink(GinkgoWriter, lager.DEBUG))
	client, err := kubernetes.NewForConfig(s.config)
	Expect(err).NotTo(HaveOccurred())
	metadataClient, err := metadata.NewForConfig(s.config)
	Expect(err).NotTo(HaveOccurred())
	appsView := view.New(view.Options{Client: client, Metadata: metadataClient, Namespace: s.Namespace, Logger: logger, Clock: clock})
	sets := live.New(live.Options{Client: client.AppsV1(), View: appsView, Namespace: s.Namespace})
	return backEnd{client: client, view: appsView, statefulSets: sets, logger: logger}
}

func (s *patchedStack) roll(ctx context.Context, edits ...func(*control.StackRollOptions)) ([]control.RolledLRP, error) {
	GinkgoHelper()
	var lrps []control.RolledLRP
	b := s.backEnd(clock.RealClock{})
	options := control.StackRollOptions{
		View: b.view, StatefulSets: b.statefulSets, Pods: b.client.CoreV1(), Events: b.client.CoreV1(), Logger: b.logger, Images: s,
		Registry: render.RegistrySettings{PullAddress: "127.0.0.1:1", Prefix: "cloudfoundry"},
		Stack:    s.name, Revision: newRevision, Patience: 20 * time.Second,
		Progress: func(lrp control.RolledLRP) { lrps = append(lrps, lrp) },
	}
	for _, edit := range edits {
		edit(&options)
	}
	_, err := control.NewStackRoll(options).Run(ctx)
	return lrps, err
}

// rolls wants this to become of all apps on the stack.
func (s *patchedStack) rolls(ctx context.Context, outcomes ...control.RollOutcome) []control.RolledLRP {
	GinkgoHelper()
	lrps, err := s.roll(ctx)
	Expect(err).NotTo(HaveOccurred())
	var came []control.RollOutcome
	for _, lrp := range lrps {
		came = append(came, lrp.Outcome)
	}
	Expect(came).To(ConsistOf(outcomes), "%+v", lrps)
	return lrps
}

// meanwhile runs f as soon as the condition holds, while a roll goes on.
func meanwhile(ctx context.Context, condition func() bool, f func()) (wait func()) {
	var group sync.WaitGroup
	group.Go(func() {
		defer GinkgoRecover()
		Eventually(condition).WithContext(ctx).WithPolling(5 * time.Millisecond).Should(BeTrue())
		f()
	})
	return group.Wait
}

func (s *patchedStack) replicas(ctx context.Context, d cloudcontroller.Desire) func() int32 {
	return func() int32 { return *s.StatefulSet(ctx, d.GUID()).Spec.Replicas }
}

// replaced is whether a roll is at work on an app and so many of its instances, or more,
// are replaced.
func (s *patchedStack) replaced(ctx context.Context, d cloudcontroller.Desire, instances int) func() bool {
	return func() bool {
		set := s.StatefulSet(ctx, d.GUID())
		return set.Annotations[rollAnnotation] != "" && set.Status.ObservedGeneration == set.Generation &&
			set.Status.UpdatedReplicas >= int32(instances)
	}
}

// onNew is that an app is on the new revision with so many instances, and nothing is
// left of the move.
func (s *patchedStack) onNew(ctx context.Context, d cloudcontroller.Desire, instances int) {
	GinkgoHelper()
	set := s.StatefulSet(ctx, d.GUID())
	Expect(set.Spec.Replicas).To(HaveValue(BeEquivalentTo(instances)))
	Expect(set.Labels).To(HaveKeyWithValue(revisionLabel, newRevision))
	Expect(set.Spec.Template.Labels).To(HaveKeyWithValue(revisionLabel, newRevision))
	Expect(set.Spec.Template.Spec.Containers[0].Image).To(HaveSuffix("-" + newRevision))
	Expect(set.Annotations).NotTo(Or(HaveKey(surgeAnnotation), HaveKey(rollAnnotation)))
	Eventually(func(g Gomega) {
		pods := s.Pods(ctx, d.GUID())
		g.Expect(pods).To(HaveLen(instances))
		for _, pod := range pods {
			g.Expect(pod.DeletionTimestamp).To(BeNil())
			g.Expect(pod.Labels).To(HaveKeyWithValue(revisionLabel, newRevision))
		}
	}).Should(Succeed())
}

// settled waits until Kubernetes has replaced all pods.
func (s *patchedStack) settled(ctx context.Context, d cloudcontroller.Desire) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		set := s.StatefulSet(ctx, d.GUID())
		g.Expect(set.Status.ObservedGeneration).To(Equal(set.Generation))
		g.Expect(set.Status.UpdatedReplicas).To(Equal(*set.Spec.Replicas))
		g.Expect(set.Status.ReadyReplicas).To(Equal(*set.Spec.Replicas))
	}).Should(Succeed())
}

// leadLater runs what the leader does, six minutes from now; the platform's own leader
// has no reason yet.
func (s *patchedStack) leadLater() {
	GinkgoHelper()
	later := clockAhead{by: 6 * time.Minute}
	b := s.backEnd(later)
	companions := control.NewCompanions(control.CompanionsOptions{
		Namespace: s.Namespace, View: b.view, StatefulSets: b.statefulSets, Pods: b.client.CoreV1(), Secrets: b.client.CoreV1(),
		Budgets: b.client.PolicyV1(), OrphanMinAge: 1000 * time.Hour, Logger: b.logger, Registerer: prometheus.NewRegistry(), Clock: later,
	})
	alongside(b.view.Run, companions.Run)
}

// clockAhead is the real clock, set forward.
type clockAhead struct {
	clock.RealClock
	by time.Duration
}

// Now implements clock.PassiveClock.
func (c clockAhead) Now() time.Time { return c.RealClock.Now().Add(c.by) }

// Since implements clock.PassiveClock.
func (c clockAhead) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// alongside runs until the spec ends.
func alongside(work ...func(context.Context) error) (stop func()) {
	life, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range work {
		running.Go(func() {
			defer GinkgoRecover()
			Expect(run(life)).To(Succeed())
		})
	}
	stop = func() { end(); running.Wait() }
	DeferCleanup(stop)
	return stop
}

// roundTripper is a function that makes requests.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
