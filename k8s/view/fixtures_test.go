package view

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

const namespace = "cf-workloads"

var (
	start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	appID = opi.LRPIdentifier{GUID: "app", Version: "v1"}
)

// idleView is a view that is never run: tests drive its stores as reflectors do.
func idleView(t testing.TB) (*View, *testingclock.FakePassiveClock) {
	t.Helper()
	config := &rest.Config{Host: "http://127.0.0.1:1"}
	now := testingclock.NewFakePassiveClock(start)
	return New(Options{
		Client:    kubernetes.NewForConfigOrDie(config),
		Metadata:  metadata.NewForConfigOrDie(config),
		Namespace: namespace,
		Clock:     now,
		Logger:    lagertest.NewTestLogger("test"),
	}), now
}

func labelsFor(id opi.LRPIdentifier) map[string]string {
	return map[string]string{
		keys.GUID:       id.GUID,
		keys.Version:    id.Version,
		keys.SourceType: keys.SourceTypeApp,
		keys.AppGUID:    id.GUID,
	}
}

func metaFor(id opi.LRPIdentifier, name, uid string, version int) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:         namespace,
		Name:              name,
		UID:               types.UID(uid),
		ResourceVersion:   strconv.Itoa(version),
		CreationTimestamp: metav1.NewTime(start),
		Labels:            labelsFor(id),
	}
}

func statefulSet(name, uid string, version int, edits ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{ObjectMeta: metaFor(appID, name, uid, version)}
	for _, edit := range edits {
		edit(set)
	}
	return set
}

func annotated(key, value string) func(*appsv1.StatefulSet) {
	return func(set *appsv1.StatefulSet) {
		metav1.SetMetaDataAnnotation(&set.ObjectMeta, key, value)
	}
}

func createdAt(at time.Time) func(*appsv1.StatefulSet) {
	return func(set *appsv1.StatefulSet) { set.CreationTimestamp = metav1.NewTime(at) }
}

func secretMeta(name, uid string, version int) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metaFor(appID, name, uid, version)}
}

func ownedPod(owner, uid string, index, version int, edits ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metaFor(appID, fmt.Sprintf("%s-%d", owner, index), uid, version)}
	controller := true
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "StatefulSet", UID: types.UID(owner), Controller: &controller}}
	pod.Labels[keys.PodIndex] = strconv.Itoa(index)
	pod.Spec.Containers = []corev1.Container{{Name: keys.AppContainer, Resources: corev1.ResourceRequirements{
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi"), corev1.ResourceEphemeralStorage: resource.MustParse("512Mi")},
	}}}
	for _, edit := range edits {
		edit(pod)
	}
	return pod
}

// list fills a store as a first list does.
func list[K comparable, P object[P]](g *WithT, s *store[K, P], version int, objects ...any) {
	g.Expect(s.Replace(objects, strconv.Itoa(version))).To(Succeed())
}

// versions are the resource versions of all live StatefulSets by uid.
func versions(v *View) map[string]string {
	found := map[string]string{}
	v.mu.RLock()
	defer v.mu.RUnlock()
	for uid, lrp := range v.lrps.byUID {
		if v.alive(lrp) {
			found[string(uid)] = lrp.ResourceVersion
		}
	}
	return found
}
