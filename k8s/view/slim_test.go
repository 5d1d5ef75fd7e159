package view

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

func TestSlimStatefulSet(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	replicas := int32(3)
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5,
		annotated(keys.LastUpdated, "1588.5"), annotated(keys.Routes, `[{"hostname":"a.example","port":8080}]`),
		annotated(keys.RequestDigest, "d"), annotated(keys.Secret, "s"),
		annotated(keys.InternalRoutes, `[{"hostname":"a.internal"}]`), annotated(keys.IsolationSegment, "segment"),
		annotated(keys.ApplicationName, "My App"), annotated(keys.SpaceName, "My Space"), annotated(keys.OrganizationName, "My Org"),
		annotated(keys.ProcessType, "my worker"),
		func(s *appsv1.StatefulSet) {
			s.Spec.Replicas = &replicas
			s.Labels[keys.SpaceGUID], s.Labels[keys.OrganizationGUID], s.Labels[keys.ProcessType] = "space", "org", "my-worker"
		}))
	lrp, found := v.LRP(appID)
	g.Expect(found).To(BeTrue())
	g.Expect(lrp).To(Equal(LRP{
		LRPIdentifier: appID, Namespace: namespace, Name: "a", UID: "uid-a", ResourceVersion: "5",
		Created: start, Instances: 3, AppGUID: "app", AppName: "My App", SpaceGUID: "space", SpaceName: "My Space",
		OrganizationGUID: "org", OrganizationName: "My Org", ProcessType: "my worker", IsolationSegment: "segment", Annotation: "1588.5",
		Routes: `[{"hostname":"a.example","port":8080}]`, InternalRoutes: `[{"hostname":"a.internal"}]`, RequestDigest: "d", Secret: "s", Encoding: &opi.Encoding{},
		podMetadata: v.digestMetadata("", "app", "space", "org", "APP"),
	}))
	_, found = v.LRP(opi.LRPIdentifier{GUID: "app", Version: "v2"})
	g.Expect(found).To(BeFalse())
}

func TestSlimSecret(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	owned := secretMeta("owned", "uid-1", 5)
	owned.OwnerReferences = []metav1.OwnerReference{{UID: "uid-a"}, {UID: "uid-b"}}
	owned.Annotations = map[string]string{keys.DesiredAt: "2026-05-01T13:00:00Z"}
	odd := secretMeta("odd", "uid-2", 6)
	odd.Annotations = map[string]string{keys.DesiredAt: "yesterday"}
	list(g, v.secrets, 10, owned, odd)
	g.Expect(v.Secrets(appID)).To(ConsistOf(
		Secret{LRPIdentifier: appID, Name: "owned", UID: "uid-1", ResourceVersion: "5", Created: start, DesiredAt: start.Add(time.Hour), Owner: "uid-a"},
		Secret{LRPIdentifier: appID, Name: "odd", UID: "uid-2", ResourceVersion: "6", Created: start, DesiredAt: start},
	))
	v.NoteSecret(&corev1.Secret{ObjectMeta: metaFor(appID, "own", "uid-3", 12), Data: map[string][]byte{"key": []byte("value")}})
	g.Expect(v.Secrets(appID)).To(ContainElement(
		Secret{LRPIdentifier: appID, Name: "own", UID: "uid-3", ResourceVersion: "12", Created: start, DesiredAt: start}))
}

func TestSlimBudget(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.budgets, 10)
	one, always, controller := intstr.FromInt32(1), policyv1.AlwaysAllow, true
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metaFor(appID, "b", "uid-b", 12),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             &one,
			UnhealthyPodEvictionPolicy: &always,
			Selector:                   &metav1.LabelSelector{MatchLabels: map[string]string{"x": "y"}},
		},
	}
	budget.OwnerReferences = []metav1.OwnerReference{{UID: "uid-a", Controller: &controller}}
	expected := Budget{
		LRPIdentifier: appID, Name: "b", UID: "uid-b", ResourceVersion: "12", Owner: "uid-a",
		MaxUnavailable: &intstr.IntOrString{IntVal: 1}, UnhealthyPodEvictionPolicy: policyv1.AlwaysAllow,
		MatchLabels: map[string]string{"x": "y"},
	}
	v.NoteBudget(budget)
	budget.Spec.Selector.MatchLabels["x"] = "changed"
	found, ok := v.Budget("b")
	g.Expect(ok).To(BeTrue())
	g.Expect(found).To(Equal(expected), "the caller's object stays the caller's")
	v.NoteDeletedBudget("uid-b")
	found, _ = v.Budget("b")
	g.Expect(found.Deleting).To(BeTrue())
}

func TestPodIndex(t *testing.T) {
	for name, c := range map[string]struct {
		pod   string
		label *string
		index int
	}{
		"label":             {"app-7", ptr("3"), 3},
		"name":              {"app-7", nil, 7},
		"neither":           {"app-x", nil, NoIndex},
		"no dash":           {"app", nil, NoIndex},
		"label is no index": {"app-7", ptr("-2"), NoIndex},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: c.pod}}
			if c.label != nil {
				pod.Labels = map[string]string{keys.PodIndex: *c.label}
			}
			g.Expect(indexOf(pod)).To(Equal(c.index))
		})
	}
}

func ptr[T any](value T) *T { return &value }

func TestSlimPodBeingDeleted(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.pods, 12, ownedPod("uid-a", "p0", 0, 12, deletedAt(50, 15)))
	g.Expect(v.Pods("uid-a")[0].Deleting).To(HaveValue(Equal(at(50))))
	g.Expect(v.Pods("uid-a")[0].Container.MemoryLimit).To(Equal(int64(256 << 20)))
}

func TestVocabularyIsBounded(t *testing.T) {
	g := NewWithT(t)
	var v vocabulary
	for i := range 3 * maxWords {
		v.word(string(rune(i)))
	}
	g.Expect(len(v.words)).To(BeNumerically("<=", maxWords))
	g.Expect(v.word("again")).To(Equal("again"))
}
