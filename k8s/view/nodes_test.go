package view

import (
	"slices"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

func node(name string, version int, edits ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID("uid-" + name), ResourceVersion: strconv.Itoa(version), Labels: map[string]string{},
	}}
	for _, edit := range edits {
		edit(n)
	}
	return n
}

func nodeReady(status corev1.ConditionStatus, seconds int) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Conditions = []corev1.NodeCondition{
			{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse},
			{Type: corev1.NodeReady, Status: status, LastTransitionTime: stamp(seconds), LastHeartbeatTime: stamp(seconds)},
		}
	}
}

func inZone(zone string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[corev1.LabelTopologyZone] = zone }
}

// nodes are ready ones named node-1, node-2, …
func nodes(count int) []any {
	var all []any
	for n := range count {
		all = append(all, node("node-"+strconv.Itoa(n+1), 5, nodeReady(corev1.ConditionTrue, 1), inZone("z1")))
	}
	return all
}

// lose makes nodes, by number, silent as of a resource version.
func lose(g *WithT, v *View, version int, numbers ...int) {
	for i, n := range numbers {
		g.Expect(v.nodes.Update(node("node-"+strconv.Itoa(n), version+i, nodeReady(corev1.ConditionUnknown, 40), inZone("z1")))).To(Succeed())
	}
}

// on puts a pod of an LRP of its own on a node, ready or as a lost node leaves it.
func on(number int, ready bool) *corev1.Pod {
	name := "on-" + strconv.Itoa(number)
	pod := ownedPod("set-"+name, name, 0, 6, placed(true, running(5, true)))
	pod.Labels[keys.GUID] = name
	pod.Spec.NodeName = "node-" + strconv.Itoa(number)
	if !ready {
		replaceCondition(condition(corev1.PodReady, corev1.ConditionFalse, 41, "", ""))(pod)
	}
	return pod
}

func TestSlimNode(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.nodes, 10, node("node-1", 5, nodeReady(corev1.ConditionUnknown, 7), inZone("z2")), node("bare", 6))
	found, known := v.Node("node-1")
	g.Expect(known).To(BeTrue())
	g.Expect(found).To(Equal(Node{Name: "node-1", UID: "uid-node-1", ResourceVersion: "5", Zone: "z2",
		Ready: Verdict{Status: corev1.ConditionUnknown, Since: at(7)}}))
	g.Expect(found.Silent()).To(BeTrue())
	bare, _ := v.Node("bare")
	g.Expect(bare.Silent()).To(BeFalse())
	g.Expect(v.Nodes()).To(ConsistOf(found, bare))
	_, known = v.Node("other")
	g.Expect(known).To(BeFalse())
}

func TestNodesHaveTheirSegmentAndRoom(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	v.segmentLabel = "segment"
	list(g, v.nodes, 10, node("node-1", 5, func(n *corev1.Node) {
		n.Labels["segment"] = "one"
		n.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}
	}))
	found, _ := v.Node("node-1")
	g.Expect(found.Segment).To(Equal("one"))
	g.Expect([]int64{found.MemoryMiB, found.DiskMiB, found.Pods}).To(Equal([]int64{8 << 10, 100 << 10, 110}))
	g.Expect(v.NodesForbidden()).To(BeFalse())
}

func TestSignsOfLifeTellNobody(t *testing.T) {
	g := NewWithT(t)
	v, now := idleView(t)
	told := 0
	v.Subscribe(func(Change) { told++ })
	v.SubscribeNodes(func(string) { told++ })
	list(g, v.pods, 10, on(1, true))
	list(g, v.nodes, 10, nodes(1)...)
	told = 0
	now.SetTime(at(300))
	g.Expect(v.nodes.Update(node("node-1", 11, nodeReady(corev1.ConditionTrue, 1), inZone("z1"), func(n *corev1.Node) {
		n.Status.Conditions[1].LastHeartbeatTime = stamp(300)
		n.Labels["other"] = "label"
	}))).To(Succeed())
	g.Expect(told).To(BeZero())
	g.Expect(v.Current(Nodes, 0)).To(BeTrue(), "but it is progress")
	held, _ := v.Node("node-1")
	g.Expect(held.ResourceVersion).To(Equal("11"))
}

func TestWhoIsToldOfANode(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	var lrps []string
	var names []string
	v.Subscribe(func(c Change) {
		if c.Resource == Nodes {
			lrps = append(lrps, c.LRP.GUID)
			v.Nodes() // outside the lock
		}
	})
	v.SubscribeNodes(func(name string) { names = append(names, name) })
	second := on(1, true)
	second.Name, second.UID = "set-on-1-1", "second"
	list(g, v.pods, 10, on(1, true), second, on(2, true))
	step := func(f func() error) ([]string, []string) {
		lrps, names = nil, nil
		g.Expect(f()).To(Succeed())
		slices.Sort(lrps)
		slices.Sort(names)
		return lrps, names
	}
	check := func(f func() error, wantLRPs []string, wantNodes []string) {
		t.Helper()
		gotLRPs, gotNodes := step(f)
		g.Expect(gotLRPs).To(Equal(wantLRPs))
		g.Expect(gotNodes).To(Equal(wantNodes))
	}
	check(func() error { return v.nodes.Replace(nodes(5), "10") },
		[]string{"on-1", "on-2"}, []string{"node-1", "node-2", "node-3", "node-4", "node-5"})
	check(func() error { return v.nodes.Replace(nodes(5), "11") }, nil, nil)
	check(func() error {
		return v.nodes.Update(node("node-1", 12, nodeReady(corev1.ConditionUnknown, 40), inZone("z1")))
	},
		[]string{"on-1"}, []string{"node-1"})
	check(func() error {
		return v.nodes.Update(node("node-1", 13, nodeReady(corev1.ConditionFalse, 41), inZone("z1")))
	},
		[]string{"on-1"}, []string{"node-1"})
	check(func() error {
		return v.nodes.Update(node("node-1", 14, nodeReady(corev1.ConditionFalse, 41), inZone("z2")))
	},
		[]string{"on-1"}, []string{"node-1"})
	check(func() error {
		return v.nodes.Update(node("node-3", 15, nodeReady(corev1.ConditionUnknown, 41), inZone("z1")))
	},
		nil, []string{"node-3"})
	g.Expect(v.MostNodesLost()).To(BeFalse())
	check(func() error {
		return v.nodes.Update(node("node-4", 16, nodeReady(corev1.ConditionUnknown, 41), inZone("z1")))
	},
		[]string{"on-1"}, []string{"node-4"})
	g.Expect(v.MostNodesLost()).To(BeTrue())
	check(func() error { return v.nodes.Delete(node("node-2", 17)) }, []string{"on-2"}, []string{"node-2"})
	check(func() error {
		return v.nodes.Update(node("node-4", 18, nodeReady(corev1.ConditionTrue, 50), inZone("z1")))
	},
		[]string{"on-1"}, []string{"node-4"})
	g.Expect(v.MostNodesLost()).To(BeFalse(), "two of four")
	check(func() error { return v.nodes.Delete(node("node-1", 19)) }, []string{"on-1"}, []string{"node-1"})
	check(func() error { return v.nodes.Add(node("node-1", 20, nodeReady(corev1.ConditionTrue, 60))) },
		[]string{"on-1"}, []string{"node-1"})
}

func TestMostNodesLost(t *testing.T) {
	for _, c := range []struct {
		lost, all int
		most      bool
	}{{0, 0, false}, {0, 3, false}, {1, 1, false}, {1, 2, false}, {2, 2, true}, {1, 3, false}, {2, 3, true}, {2, 4, false}, {3, 4, true}, {3, 5, true}, {50, 100, false}, {51, 100, true}} {
		g := NewWithT(t)
		v, _ := idleView(t)
		list(g, v.nodes, 10, nodes(c.all)...)
		for n := range c.lost {
			lose(g, v, 20+n, n+1)
		}
		g.Expect(v.MostNodesLost()).To(Equal(c.most), "%d of %d", c.lost, c.all)
		g.Expect(MostLost(c.lost, c.all)).To(Equal(c.most))
		list(g, v.nodes, 500)
		g.Expect(v.MostNodesLost()).To(BeFalse(), "no nodes at all")
	}
}

func TestRoutable(t *testing.T) {
	lost := replaceCondition(condition(corev1.PodReady, corev1.ConditionFalse, 41, "", ""))
	ready := placed(true, running(5, true))
	phase := func(phase corev1.PodPhase) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.Phase = phase }
	}
	for name, c := range map[string]struct {
		pod []func(*corev1.Pod)
		// most is whether most nodes are lost, the pod's included.
		one, most bool
		noted     bool
	}{
		"ready":                    {pod: []func(*corev1.Pod){ready}, one: true, most: true},
		"not ready by its check":   {pod: []func(*corev1.Pod){placed(false, running(5, true))}},
		"lost":                     {pod: []func(*corev1.Pod){ready, lost}, most: true},
		"lost, on an unknown node": {pod: []func(*corev1.Pod){ready, lost, func(p *corev1.Pod) { p.Spec.NodeName = "gone" }}},
		"lost, on a ready node":    {pod: []func(*corev1.Pod){ready, lost, func(p *corev1.Pod) { p.Spec.NodeName = "node-4" }}},
		"lost and terminating":     {pod: []func(*corev1.Pod){ready, lost, deletedAt(50, 15)}},
		"lost and failed":          {pod: []func(*corev1.Pod){ready, lost, phase(corev1.PodFailed)}},
		"terminating":              {pod: []func(*corev1.Pod){ready, deletedAt(50, 15)}},
		"deleted by us":            {pod: []func(*corev1.Pod){ready}, noted: true},
		"failed, condition is old": {pod: []func(*corev1.Pod){ready, phase(corev1.PodFailed)}},
		"done, condition is old":   {pod: []func(*corev1.Pod){ready, phase(corev1.PodSucceeded)}},
		"no address":               {pod: []func(*corev1.Pod){ready, func(p *corev1.Pod) { p.Status.PodIP = "" }}},
		"a readiness gate is closed": {pod: []func(*corev1.Pod){ready,
			replaceCondition(condition(corev1.PodReady, corev1.ConditionFalse, 20, "ReadinessGatesNotReady", ""))}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v, now := idleView(t)
			now.SetTime(at(50))
			list(g, v.pods, 10, ownedPod("uid-a", "p", 0, 5, c.pod...))
			list(g, v.nodes, 10, nodes(4)...)
			if c.noted {
				v.NoteDeletedPod("p")
			}
			check := func(expected bool) {
				t.Helper()
				g.Expect(v.Routable(v.Pods("uid-a")[0])).To(Equal(expected))
				g.Expect(v.Instances(LRP{UID: "uid-a", Instances: 1})[0].Routable).To(Equal(expected))
			}
			lose(g, v, 20, 1)
			check(c.one)
			lose(g, v, 30, 2, 3)
			check(c.most)
			g.Expect(v.nodes.Update(node("node-2", 40, nodeReady(corev1.ConditionTrue, 80)))).To(Succeed())
			check(c.one)
		})
	}
}

func TestPodsByNode(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	onNode := func() map[string]int {
		counts := map[string]int{}
		for name, pods := range v.onNode {
			counts[name] = len(pods)
			for _, pod := range pods {
				g.Expect(v.pods.byUID[pod.UID]).To(BeIdenticalTo(pod))
			}
		}
		return counts
	}
	pod := func(n, version int, where string) *corev1.Pod {
		return ownedPod("uid-a", "p"+strconv.Itoa(n), n, version, func(p *corev1.Pod) { p.Spec.NodeName = where })
	}
	list(g, v.pods, 10, pod(0, 1, ""), pod(1, 2, "a"), pod(2, 3, "a"), pod(3, 4, "b"))
	g.Expect(onNode()).To(Equal(map[string]int{"a": 2, "b": 1}))
	g.Expect(v.pods.Update(pod(0, 11, "a"))).To(Succeed())
	g.Expect(v.pods.Update(pod(1, 12, "a"))).To(Succeed())
	v.NoteDeletedPod("p1")
	g.Expect(v.pods.Delete(pod(3, 13, "b"))).To(Succeed())
	g.Expect(onNode()).To(Equal(map[string]int{"a": 3}))
	g.Expect(v.pods.Delete(pod(0, 14, "a"))).To(Succeed())
	g.Expect(v.pods.Delete(pod(1, 15, "a"))).To(Succeed())
	g.Expect(onNode()).To(Equal(map[string]int{"a": 1}))
	list(g, v.pods, 5, pod(7, 4, "c"))
	g.Expect(onNode()).To(Equal(map[string]int{"c": 1}), "history was rewritten")
}

func TestInstancesOnSilentNodes(t *testing.T) {
	notReady := ownedPod("uid-a", "p", 0, 6, placed(false, running(5, true)))
	for name, c := range map[string]struct {
		pod   *corev1.Pod
		node  corev1.ConditionStatus
		state opi.InstanceState
		since int
	}{
		"was not ready before":               {notReady, corev1.ConditionUnknown, opi.InstanceUnknown, 30},
		"was starting":                       {ownedPod("uid-a", "p", 0, 6, placed(false, running(5, false))), corev1.ConditionUnknown, opi.InstanceUnknown, 30},
		"was crashing":                       {ownedPod("uid-a", "p", 0, 6, placed(false, waiting("CrashLoopBackOff", ""))), corev1.ConditionUnknown, opi.InstanceUnknown, 30},
		"had ended":                          {ownedPod("uid-a", "p", 0, 6, placed(false, terminated(ended(20, 1, 0, "Error", ""))), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), corev1.ConditionUnknown, opi.InstanceCrashed, 20},
		"goes":                               {ownedPod("uid-a", "p", 0, 6, placed(true, running(5, true)), deletedAt(40, 15)), corev1.ConditionUnknown, opi.InstanceUnclaimed, 40},
		"the kubelet says it is not ready":   {notReady, corev1.ConditionFalse, opi.InstanceRunning, 5},
		"the node is back, the pod is to be": {on(1, false), corev1.ConditionTrue, opi.InstanceRunning, 5},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v, now := idleView(t)
			now.SetTime(at(89))
			list(g, v.pods, 10, c.pod)
			list(g, v.nodes, 10, node("node-1", 5, nodeReady(c.node, 30)))
			owner := c.pod.OwnerReferences[0].UID
			state := func() opi.Instance { return v.Instances(LRP{UID: owner, Instances: 1})[0] }
			if c.state == opi.InstanceUnknown {
				g.Expect(state().State).NotTo(Equal(c.state), "within the grace")
			}
			now.SetTime(at(90))
			g.Expect(state().State).To(Equal(c.state))
			g.Expect(state().Since).To(Equal(at(c.since)))
		})
	}
}
