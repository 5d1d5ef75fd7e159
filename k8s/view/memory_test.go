package view

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/google/uuid"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// BenchmarkHeap reports the heap that stays per LRP, Secret and pod, with names
// and values as long as in real use, each object decoded by itself: of LRPs as each door
// desires them.
func BenchmarkHeap(b *testing.B) {
	b.Run("OPI", func(b *testing.B) { benchmarkHeap(b, realSet) })
	b.Run("BBS", func(b *testing.B) { benchmarkHeap(b, realBBSSet) })
}

func benchmarkHeap(b *testing.B, realSet func(id opi.LRPIdentifier, uid string, n int) *appsv1.StatefulSet) {
	const lrps, podsPerLRP = 10_000, 1
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return float64(stats.HeapAlloc)
	}
	for b.Loop() {
		v, _ := idleView(b)
		ids := make([]opi.LRPIdentifier, lrps)
		owners := make([]string, lrps)
		for i := range ids {
			ids[i] = opi.LRPIdentifier{GUID: uuid.NewString(), Version: uuid.NewString()}
			owners[i] = uuid.NewString()
		}
		decoded := 0
		add := func(count int, add func(i int)) float64 {
			before := heap()
			for i := range count {
				decoded++
				add(i)
			}
			return (heap() - before) / float64(count)
		}
		must := func(err error) {
			if err != nil {
				b.Fatal(err)
			}
		}
		perSet := add(lrps, func(i int) {
			must(v.lrps.Add(decode(b, &appsv1.StatefulSet{}, realSet(ids[i], owners[i], decoded))))
		})
		perSecret := add(lrps, func(i int) {
			secret := &metav1.PartialObjectMetadata{ObjectMeta: metaFor(ids[i], secretName(owners[i]), uuid.NewString(), 1000000+decoded)}
			secret.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(owners[i])}}
			must(v.secrets.Add(decode(b, &metav1.PartialObjectMetadata{}, secret)))
		})
		perPod := add(lrps*podsPerLRP, func(i int) {
			must(v.pods.Add(decode(b, &corev1.Pod{}, realPod(ids[i%lrps], owners[i%lrps], i/lrps, decoded))))
		})
		b.ReportMetric(perSet, "B/LRP")
		b.ReportMetric(perSecret, "B/Secret")
		b.ReportMetric(perPod, "B/pod")
		runtime.KeepAlive(v)
	}
}

// message is what generated Kubernetes types offer for protobuf.
type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

func decode[T message](b *testing.B, into, object T) T {
	encoded, err := object.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	if err := into.Unmarshal(encoded); err != nil {
		b.Fatal(err)
	}
	return into
}

func secretName(owner string) string { return "some-app-some-space-" + owner[:10] + "-env" }

func realSet(id opi.LRPIdentifier, uid string, n int) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{ObjectMeta: metaFor(id, "some-app-some-space-"+uid[:10], uid, 1000000+n)}
	set.Annotations = map[string]string{
		keys.Routes:        fmt.Sprintf(`[{"hostname":"some-app-%s.apps.example.com","port":8080}]`, uid[:8]),
		keys.LastUpdated:   "1525457881.9238560",
		keys.RequestDigest: uid[:32],
		keys.Secret:        secretName(uid),

		keys.ApplicationName:  "some-app-" + uid[:8],
		keys.SpaceName:        fmt.Sprintf("some-space-%d", n%200),
		keys.OrganizationName: fmt.Sprintf("some-organization-%d", n%20),
		keys.ProcessType:      "web",
	}
	set.Labels[keys.SpaceGUID] = fmt.Sprintf("1c559be1-5534-4bc2-a11e-%012d", n%200)
	set.Labels[keys.OrganizationGUID] = fmt.Sprintf("79c9de03-3dbb-4a1b-a7d2-%012d", n%20)
	return set
}

// realBBSSet adds what a Cloud Controller of today sends of every app.
func realBBSSet(id opi.LRPIdentifier, uid string, n int) *appsv1.StatefulSet {
	set := realSet(id, uid, n)
	set.Labels[keys.Domain], set.Labels[keys.AppGUID] = "cf-apps", id.GUID
	set.Annotations[keys.Door] = "bbs"
	set.Annotations[keys.MetricTags] = fmt.Sprintf(`{"app_id":%q,"app_name":%q,"instance_id":{"dynamic":"index"},"organization_id":%q,`+
		`"organization_name":%q,"process_id":%q,"process_instance_id":{"dynamic":"instance_guid"},"process_type":"web","source_id":%q,`+
		`"space_id":%q,"space_name":%q}`,
		id.GUID, set.Annotations[keys.ApplicationName], set.Labels[keys.OrganizationGUID], set.Annotations[keys.OrganizationName], id.GUID,
		id.GUID, set.Labels[keys.SpaceGUID], set.Annotations[keys.SpaceName])
	return set
}

func realPod(id opi.LRPIdentifier, owner string, index, n int) *corev1.Pod {
	pod := ownedPod(owner, uuid.NewString(), index, 1000000+n, placed(true, running(5, true)))
	pod.Name = "some-app-some-space-" + owner[:10] + "-" + strconv.Itoa(index)
	for key, value := range labelsFor(id) {
		pod.Labels[key] = value
	}
	pod.Spec.NodeName = fmt.Sprintf("node-%d.example.internal", n%100)
	pod.Status.PodIP = fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	return pod
}

// BenchmarkLRPs measures what GET /apps costs the view.
func BenchmarkLRPs(b *testing.B) {
	v, _ := idleView(b)
	for i := range 10_000 {
		owner := uuid.NewString()
		id := opi.LRPIdentifier{GUID: owner, Version: "v1"}
		if err := v.lrps.Add(realSet(id, owner, i)); err != nil {
			b.Fatal(err)
		}
		if err := v.secrets.Add(&metav1.PartialObjectMetadata{ObjectMeta: metaFor(id, secretName(owner), owner+"-s", 1000000+i)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(v.LRPs()) != 10_000 {
			b.Fatal("some are missing")
		}
	}
}
