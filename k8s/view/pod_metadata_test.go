package view

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/keys"
)

// carrying gives a pod what LRP.PodMetadata returns.
func carrying(lrp LRP) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		labels, annotations := lrp.PodMetadata()
		for key, value := range labels {
			metav1.SetMetaDataLabel(&pod.ObjectMeta, key, value)
		}
		for key, value := range annotations {
			delete(pod.Annotations, key)
			if value != nil {
				metav1.SetMetaDataAnnotation(&pod.ObjectMeta, key, *value)
			}
		}
	}
}

func TestPodsThatLackMetadata(t *testing.T) {
	const tags = `{"app_name":"dora"}`
	owned := func(set *appsv1.StatefulSet) {
		set.Labels[keys.SpaceGUID], set.Labels[keys.OrganizationGUID] = "space", "org"
	}
	for name, c := range map[string]struct {
		tags  string
		edit  func(*corev1.Pod)
		lacks bool
	}{
		"of an earlier release": {"", func(pod *corev1.Pod) { pod.Labels, pod.Annotations = labelsFor(appID), nil }, true},
		"complete":              {tags, func(*corev1.Pod) {}, false},
		"complete without tags": {"", func(*corev1.Pod) {}, false},
		"without tags":          {tags, func(pod *corev1.Pod) { delete(pod.Annotations, keys.MetricTags) }, true},
		"former tags": {tags, func(pod *corev1.Pod) {
			metav1.SetMetaDataAnnotation(&pod.ObjectMeta, keys.MetricTags, `{"app_name":"dana"}`)
		}, true},
		"tags that were removed": {"", func(pod *corev1.Pod) { metav1.SetMetaDataAnnotation(&pod.ObjectMeta, keys.MetricTags, tags) }, true},
		"tags that are no JSON":  {"\x01a", func(*corev1.Pod) {}, false},
		"another's label":        {tags, func(pod *corev1.Pod) { pod.Labels[keys.DashedSpaceGUID] = "other" }, true},
		"one label":              {tags, func(pod *corev1.Pod) { delete(pod.Labels, keys.DashedSourceType) }, true},
		"more labels":            {tags, func(pod *corev1.Pod) { pod.Labels["team"] = "blue" }, false},
		"ended":                  {tags, func(pod *corev1.Pod) { pod.Labels, pod.Status.Phase = labelsFor(appID), corev1.PodFailed }, false},
		"being deleted":          {tags, func(pod *corev1.Pod) { pod.Labels, pod.DeletionTimestamp = labelsFor(appID), &metav1.Time{Time: start} }, false},
		"of another StatefulSet": {tags, func(pod *corev1.Pod) { pod.Labels, pod.OwnerReferences[0].UID = labelsFor(appID), "foreign" }, false},
		"of no controller":       {tags, func(pod *corev1.Pod) { pod.Labels, pod.OwnerReferences = labelsFor(appID), nil }, false},
		"labels of another's mark": {tags, func(pod *corev1.Pod) {
			pod.Labels[keys.DashedSpaceGUID], pod.Labels[keys.DashedOrganizationGUID] = "", "spaceorg"
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v, _ := idleView(t)
			list(g, v.lrps, 10, statefulSet("a", "set", 5, owned, annotated(keys.MetricTags, c.tags)))
			lrp, _ := v.LRP(appID)
			list(g, v.pods, 10, ownedPod("set", "pod", 0, 6, carrying(lrp), c.edit))
			names := []string{}
			for _, pod := range v.PodsWithoutMetadata(lrp) {
				names = append(names, pod.Name)
			}
			if !c.lacks {
				g.Expect(names).To(BeEmpty())
				g.Expect(v.CountPodsWithoutMetadata()).To(BeZero())
				return
			}
			g.Expect(names).To(Equal([]string{"set-0"}))
			g.Expect(v.CountPodsWithoutMetadata()).To(Equal(1))
			v.NotePod(ownedPod("set", "pod", 0, 11, c.edit, carrying(lrp)))
			g.Expect(v.PodsWithoutMetadata(lrp)).To(BeEmpty(), "the patch counts at once")
			g.Expect(v.CountPodsWithoutMetadata()).To(BeZero())
		})
	}
}

func TestOwnDeletesOfPodsThatLackMetadata(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("a", "set", 5))
	list(g, v.pods, 10, ownedPod("set", "pod", 0, 6))
	lrp, _ := v.LRP(appID)
	g.Expect(v.PodsWithoutMetadata(lrp)).To(HaveLen(1))
	v.NoteDeletedPod("pod")
	g.Expect(v.PodsWithoutMetadata(lrp)).To(BeEmpty())
	g.Expect(v.CountPodsWithoutMetadata()).To(BeZero())
}
