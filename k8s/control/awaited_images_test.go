package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/tools/record"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/imagewait"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// oneLRP is the view and the API server of a platform with a single StatefulSet.
type oneLRP struct {
	*view.View
	mutex  sync.Mutex
	set    *appsv1.StatefulSet // nil once it is stopped
	writes int
	notify func(view.Change)
}

// Synced implements control.AwaitedImagesView.
func (o *oneLRP) Synced() bool { return true }

// Subscribe implements control.AwaitedImagesView.
func (o *oneLRP) Subscribe(f func(view.Change)) { o.notify = f }

// Identities implements control.AwaitedImagesView.
func (o *oneLRP) Identities() []opi.LRPIdentifier { return []opi.LRPIdentifier{awaitedID} }

// LRP implements control.AwaitedImagesView.
func (o *oneLRP) LRP(opi.LRPIdentifier) (view.LRP, bool) {
	set := o.get()
	if set == nil {
		return view.LRP{}, false
	}
	return o.FromLive(set), true
}

// EachLRP implements control.AwaitedImagesView.
func (o *oneLRP) EachLRP(visit func(*view.LRP)) {
	if lrp, known := o.LRP(awaitedID); known {
		visit(&lrp)
	}
}

// Get implements control.AwaitedImagesStatefulSets.
func (o *oneLRP) Get(context.Context, string, types.UID) (*appsv1.StatefulSet, error) {
	if set := o.get(); set != nil {
		return set, nil
	}
	return nil, live.ErrStopped
}

// Change implements control.AwaitedImagesStatefulSets.
func (o *oneLRP) Change(ctx context.Context, _ *appsv1.StatefulSet, change func(*appsv1.StatefulSet) (*live.Patch, error)) error {
	set, err := o.Get(ctx, "", "")
	if err != nil {
		return err
	}
	patch, err := change(set)
	if err != nil || patch == nil {
		return err
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	before, beforeErr := json.Marshal(o.set)
	text, textErr := patch.Encode()
	after, afterErr := strategicpatch.StrategicMergePatch(before, text, appsv1.StatefulSet{})
	changed := &appsv1.StatefulSet{}
	if err := errors.Join(beforeErr, textErr, afterErr, json.Unmarshal(after, changed)); err != nil {
		return err
	}
	o.set = changed
	o.writes++
	o.notify(view.Change{Resource: view.StatefulSets, LRP: awaitedID})
	return nil
}

func (o *oneLRP) get() *appsv1.StatefulSet {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.set.DeepCopy()
}

func (o *oneLRP) stop() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.set = nil
}

func (o *oneLRP) written() int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.writes
}

// assembly returns the error that was set.
type assembly struct {
	mutex sync.Mutex
	err   error
	asked []opi.LRP
}

// Assemble implements control.ImageAssembly.
func (a *assembly) Assemble(_ context.Context, lrp opi.LRP) (render.AppImage, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.asked = append(a.asked, lrp)
	return render.AppImage{Stack: "cflinuxfs4", Revision: "new"}, a.err
}

func (a *assembly) becomes(err error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.err = err
}

func (a *assembly) times() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return len(a.asked)
}

var awaitedID = opi.LRPIdentifier{GUID: "guid", Version: "version"}

// awaiting has an LRP of two instances that wait for their image, and the controller.
type awaiting struct {
	*oneLRP
	*assembly
	clock   *testingclock.FakeClock
	metrics *prometheus.Registry
	events  *record.FakeRecorder
}

func newAwaiting(t *testing.T, err error) *awaiting {
	t.Helper()
	g := NewWithT(t)
	registry := render.RegistrySettings{PullAddress: "registry"}
	lrp := opi.LRP{
		LRPIdentifier: awaitedID, App: opi.Owner{GUID: "app-guid"}, RootFS: opi.RootFS{Stack: "cflinuxfs4"},
		Droplet: &opi.Droplet{Checksum: opi.Checksum{Algorithm: "sha1", Value: "abc"}, URL: "https://cloud-controller/droplet"},
	}
	_, set, renderErr := render.Settings{Namespace: "cf-apps", Registry: registry}.LRP(lrp, render.ResolvedImage{}, "", render.DigestKey("key"))
	g.Expect(renderErr).NotTo(HaveOccurred())
	set.UID, set.Spec.Replicas = "uid", ptr.To(int32(0))
	set.Annotations[keys.AwaitedImage] = `{"instances":2}`

	w := &awaiting{
		oneLRP: &oneLRP{set: set, View: view.New(view.Options{
			Client: fake.NewClientset(), Metadata: metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme()),
			Namespace: "cf-apps", Logger: lager.NewLogger("test"),
		})},
		assembly: &assembly{err: err},
		clock:    testingclock.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), metrics: prometheus.NewRegistry(),
		events: record.NewFakeRecorder(10),
	}
	controller := control.NewAwaitedImages(control.AwaitedImagesOptions{
		View: w.oneLRP, StatefulSets: w.oneLRP, Events: w.events, Images: w.assembly, Registry: registry,
		Logger: lager.NewLogger("test"), Registerer: w.metrics, Clock: w.clock,
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = controller.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return w
}

func (w *awaiting) instances() []opi.Instance { return w.Instances(w.FromLive(w.get())) }

func TestInstancesStartOnceTheImageIsThere(t *testing.T) {
	g := NewWithT(t)
	w := newAwaiting(t, nil)
	g.Eventually(func() int32 { return *w.get().Spec.Replicas }).Should(BeEquivalentTo(2))
	set := w.get()
	g.Expect(set.Annotations).NotTo(HaveKey(keys.AwaitedImage))
	g.Expect(set.Spec.Template.Spec.Containers[0].Image).To(Equal("registry/app-guid:abc-new"))
	g.Expect(set.Spec.Template.Labels).To(HaveKeyWithValue(keys.RootFSVersion, "new"))
	g.Expect(set.Annotations).To(HaveKeyWithValue(keys.Stack, "cflinuxfs4"))
	g.Expect(w.written()).To(Equal(1), "replicas, image and annotation change in one write")
	g.Expect(w.asked[0].Droplet.URL).To(Equal("https://cloud-controller/droplet"))
	g.Expect(testutil.GatherAndCount(w.metrics, "irene_awaited_image_seconds")).To(Equal(1))
}

func TestWhyThereIsNoImageIsShown(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		state opi.InstanceState
		text  string
		pause time.Duration
	}{
		"refused":     {opi.WithMessage(fmt.Errorf("fetch: %w", opi.ErrRefused), "the droplet is gone"), opi.InstanceCrashed, "the droplet is gone", 5 * time.Second},
		"unavailable": {fmt.Errorf("registry 10.0.0.1: %w", opi.ErrUnavailable), opi.InstanceUnclaimed, "the platform can't get the app's image ready at present; it goes on trying", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newAwaiting(t, c.err)
			began := w.clock.Now()
			g.Eventually(w.instances).Should(HaveEach(And(HaveField("State", c.state), HaveField("PlacementError", c.text), HaveField("Since", began))))
			g.Expect(*w.get().Spec.Replicas).To(BeZero())
			g.Eventually(w.events.Events).Should(Receive(ContainSubstring(c.text)))

			// The pause doubles, and Since stays.
			g.Eventually(w.clock.HasWaiters).Should(BeTrue())
			w.clock.Step(c.pause)
			g.Eventually(w.times).Should(Equal(2))
			g.Eventually(w.written).Should(Equal(2))
			g.Expect(w.FromLive(w.get()).Awaited.Next.Sub(w.clock.Now())).To(Equal(2 * c.pause))
			g.Expect(w.instances()[0].Since).To(Equal(began))
			g.Expect(w.events.Events).NotTo(Receive(), "the same is not reported twice")

			w.becomes(nil)
			g.Eventually(func() int32 { w.clock.Step(c.pause); return *w.get().Spec.Replicas }).Should(BeEquivalentTo(2))
		})
	}
}

// Work that goes on is waited for without writing the same again and again.
func TestWorkThatGoesOn(t *testing.T) {
	g := NewWithT(t)
	w := newAwaiting(t, opi.WithMessage(fmt.Errorf("%w: %w", opi.ErrUnavailable, context.DeadlineExceeded), "the platform is still fetching the droplet"))
	g.Eventually(w.instances).Should(HaveEach(And(HaveField("State", opi.InstanceUnclaimed), HaveField("PlacementError", "the platform is still fetching the droplet"))))
	g.Eventually(func() int { w.clock.Step(time.Second); return w.times() }).Should(BeNumerically(">", 3))
	g.Expect(w.written()).To(Equal(1))
	g.Expect(w.FromLive(w.get()).Awaited.Attempts).To(BeZero())
}

func TestAnLRPThatIsStoppedMeanwhile(t *testing.T) {
	g := NewWithT(t)
	w := newAwaiting(t, opi.ErrUnavailable)
	g.Eventually(w.written).Should(Equal(1))
	w.stop()
	w.clock.Step(time.Minute)
	g.Consistently(w.written, 100*time.Millisecond).Should(Equal(1))
}

// The annotation outlives releases.
func TestStoredFormOfAwaitedImages(t *testing.T) {
	g := NewWithT(t)
	awaited := view.AwaitedImage{Instances: 2, State: imagewait.State{Attempts: 1, Next: time.Unix(0, 0).UTC(), Fault: "x", Lasting: true, Since: time.Unix(0, 0).UTC()}}
	g.Expect(awaited.Encode()).To(Equal(`{"instances":2,"attempts":1,"next":"1970-01-01T00:00:00Z","fault":"x","lasting":true,"since":"1970-01-01T00:00:00Z"}`))
	g.Expect(view.AwaitedImage{Instances: 0}.Encode()).To(Equal(`{"instances":0}`))
}
