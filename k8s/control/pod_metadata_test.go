package control_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// labeling has the controller and an LRP of some instances, with pods as an earlier release made
// them.
type labeling struct {
	*view.View
	client  *fake.Clientset
	metrics *prometheus.Registry
	notify  func(view.Change)
	calls   atomic.Int32
	// fail chooses the patches that fail.
	fail func(name string) error

	mutex sync.Mutex
	set   *appsv1.StatefulSet
	pods  map[string]*corev1.Pod
}

var labeledID = opi.LRPIdentifier{GUID: "guid", Version: "version"}

func newLabeling(t *testing.T, instances int, options control.PodMetadataOptions) *labeling {
	t.Helper()
	g := NewWithT(t)
	lrp := opi.LRP{
		LRPIdentifier: labeledID, App: opi.Owner{GUID: "app"}, Space: opi.Owner{GUID: "space"}, Organization: opi.Owner{GUID: "org"},
		RootFS: opi.RootFS{Image: &opi.Image{Reference: "org/app"}}, Instances: instances,
	}
	_, set, err := render.Settings{Namespace: "cf-apps"}.LRP(lrp, render.ResolvedImage{}, "", render.DigestKey("key"))
	g.Expect(err).NotTo(HaveOccurred())
	set.UID = "set"
	l := &labeling{
		set: set, pods: map[string]*corev1.Pod{}, metrics: prometheus.NewRegistry(), client: fake.NewClientset(),
		View: view.New(view.Options{
			Client: fake.NewClientset(), Metadata: metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme()),
			Namespace: "cf-apps", Logger: lager.NewLogger("test"),
		}),
	}
	for index := range instances {
		l.add(t, index)
	}
	l.client.PrependReactor("patch", "pods", func(action k8stesting.Action) (bool, runtime.Object, error) {
		l.calls.Add(1)
		if l.fail == nil {
			return false, nil, nil
		}
		err := l.fail(action.(k8stesting.PatchAction).GetName())
		return err != nil, nil, err
	})
	options.Namespace, options.View, options.Pods = "cf-apps", l, l.client.CoreV1()
	options.Logger, options.Registerer = lager.NewLogger("test"), l.metrics
	controller := control.NewPodMetadata(options)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = controller.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return l
}

// add starts the pod of an instance.
func (l *labeling) add(t *testing.T, index int) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "cf-apps", Name: fmt.Sprintf("app-%d", index), UID: "pod",
		Labels:          map[string]string{keys.GUID: labeledID.GUID, keys.Version: labeledID.Version, keys.SourceType: keys.SourceTypeApp, "kept": "yes"},
		OwnerReferences: []metav1.OwnerReference{{UID: "set", Controller: ptr.To(true)}},
	}}
	_, err := l.client.CoreV1().Pods("cf-apps").Create(t.Context(), pod, metav1.CreateOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	l.NotePod(pod)
}

func (l *labeling) changed() { l.notify(view.Change{LRP: labeledID, Resource: view.Pods}) }

// Synced implements control.PodMetadataView.
func (l *labeling) Synced() bool { return true }

// Subscribe implements control.PodMetadataView.
func (l *labeling) Subscribe(f func(view.Change)) { l.notify = f }

// Identities implements control.PodMetadataView.
func (l *labeling) Identities() []opi.LRPIdentifier { return []opi.LRPIdentifier{labeledID} }

// LRP implements control.PodMetadataView.
func (l *labeling) LRP(opi.LRPIdentifier) (view.LRP, bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.FromLive(l.set), true
}

// PodsWithoutMetadata implements control.PodMetadataView.
func (l *labeling) PodsWithoutMetadata(lrp view.LRP) (lacking []view.Pod) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, pod := range l.pods {
		if slim := l.FromLivePod(pod); slim.LacksMetadata(&lrp) {
			lacking = append(lacking, slim)
		}
	}
	return lacking
}

// CountPodsWithoutMetadata implements control.PodMetadataView.
func (l *labeling) CountPodsWithoutMetadata() int {
	lrp, _ := l.LRP(labeledID)
	return len(l.PodsWithoutMetadata(lrp))
}

// NotePod implements control.PodMetadataView.
func (l *labeling) NotePod(pod *corev1.Pod) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.pods[pod.Name] = pod
}

func (l *labeling) pod(g Gomega, name string) *corev1.Pod {
	pod, err := l.client.CoreV1().Pods("cf-apps").Get(context.Background(), name, metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	return pod
}

func TestPodsOfAnEarlierReleaseGetLabelsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		l := newLabeling(t, 3, control.PodMetadataOptions{})
		synctest.Wait()
		g.Expect(l.calls.Load()).To(BeEquivalentTo(3))
		for _, name := range []string{"app-0", "app-1", "app-2"} {
			g.Expect(l.pod(g, name).Labels).To(And(
				HaveKeyWithValue("cloudfoundry.org/app-guid", "app"), HaveKeyWithValue("cloudfoundry.org/space-guid", "space"),
				HaveKeyWithValue("cloudfoundry.org/org-guid", "org"), HaveKeyWithValue("cloudfoundry.org/source-type", "APP"),
				HaveKeyWithValue("kept", "yes"), HaveKeyWithValue(keys.SourceType, "APP"), HaveLen(8)))
		}
		l.changed()
		synctest.Wait()
		g.Expect(l.calls.Load()).To(BeEquivalentTo(3), "they lack nothing any more")

		// A template never changes, so later pods lack the same.
		l.add(t, 3)
		l.changed()
		synctest.Wait()
		g.Expect(l.calls.Load()).To(BeEquivalentTo(4))
		g.Expect(testutil.GatherAndCompare(l.metrics, strings.NewReader(`# HELP irene_pod_metadata_patches_total Patches of pods that lacked labels or metric tags of their LRP, by outcome: patched, gone, failed.
# TYPE irene_pod_metadata_patches_total counter
irene_pod_metadata_patches_total{outcome="failed"} 0
irene_pod_metadata_patches_total{outcome="gone"} 0
irene_pod_metadata_patches_total{outcome="patched"} 4
`), "irene_pod_metadata_patches_total")).To(Succeed())
	})
}

func TestMetricTagsOfPodsFollowThoseOfTheLRP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		l := newLabeling(t, 1, control.PodMetadataOptions{})
		for _, tags := range []string{`{"app_name":"dora"}`, `{"app_name":"dana"}`, ""} {
			l.mutex.Lock()
			l.set.Annotations[keys.MetricTags] = tags
			l.mutex.Unlock()
			l.changed()
			synctest.Wait()
			pod := l.pod(g, "app-0")
			g.Expect(pod.Annotations[keys.MetricTags]).To(Equal(tags))
			if tags == "" {
				g.Expect(pod.Annotations).NotTo(HaveKey(keys.MetricTags))
			}
		}
	})
}

func TestPodsThatCanNotBePatched(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for name, c := range map[string]struct {
		err error
		// calls are those of the first reconcile of two pods, later those of a minute.
		calls, later int32
		again        bool
	}{
		"gone":        {apierrors.NewNotFound(pods, "app-0"), 2, 2, false},
		"another's":   {apierrors.NewConflict(pods, "app-0", errors.New("uid")), 2, 2, false},
		"refused":     {apierrors.NewForbidden(pods, "app-0", errors.New("a webhook")), 2, 30, true},
		"unavailable": {apierrors.NewServiceUnavailable("down"), 1, 15, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				var failing atomic.Bool
				failing.Store(true)
				l := newLabeling(t, 0, control.PodMetadataOptions{})
				l.fail = func(string) error {
					if failing.Load() {
						return c.err
					}
					return nil
				}
				synctest.Wait()
				l.add(t, 0)
				l.add(t, 1)
				l.changed()
				synctest.Wait()
				g.Expect(l.calls.Load()).To(Equal(c.calls))
				if !c.again {
					return
				}
				for range 60 {
					time.Sleep(time.Second)
					l.changed()
				}
				synctest.Wait()
				g.Expect(l.calls.Load()).To(BeNumerically("<=", c.later), "events bring no attempts")
				failing.Store(false)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				g.Expect(l.CountPodsWithoutMetadata()).To(BeZero())
			})
		})
	}
}

func TestPatchesOfManyPodsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		l := newLabeling(t, 300, control.PodMetadataOptions{})
		synctest.Wait()
		g.Expect(l.calls.Load()).To(BeEquivalentTo(50), "the burst")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		g.Expect(l.calls.Load()).To(BeNumerically("~", 150, 1))
		time.Sleep(7 * time.Second)
		synctest.Wait()
		g.Expect(l.calls.Load()).To(BeEquivalentTo(300))
		g.Expect(l.CountPodsWithoutMetadata()).To(BeZero())
	})
}
