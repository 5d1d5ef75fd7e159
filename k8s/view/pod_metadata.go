package view

import (
	"hash/maphash"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/keys"
)

// metadataDigest identifies what the pods of an LRP should carry although their template may
// lack it: the labels with dashes and the metric tags. The texts themselves would double what
// the view keeps of a pod.
type metadataDigest uint64

// digestMetadata returns the digest of some labels and of the text of metric tags. Its key is
// random, since users choose some of the values.
func (v *View) digestMetadata(metricTags string, labels ...string) metadataDigest {
	var hash maphash.Hash // its methods never fail
	hash.SetSeed(v.seed)
	for _, label := range labels {
		_, _ = hash.WriteString(label)
		_ = hash.WriteByte(0) // no label has it
	}
	_, _ = hash.WriteString(metricTags)
	return metadataDigest(hash.Sum64())
}

// metadataFor returns the digest of what the pods of an LRP should carry.
func (v *View) metadataFor(lrp *LRP, metricTags string) metadataDigest {
	return v.digestMetadata(metricTags, lrp.AppGUID, lrp.SpaceGUID, lrp.OrganizationGUID, keys.SourceTypeApp)
}

// metadataOn returns the digest of what a pod carries.
func (v *View) metadataOn(pod *corev1.Pod) metadataDigest {
	return v.digestMetadata(pod.Annotations[keys.MetricTags], pod.Labels[keys.DashedAppGUID],
		pod.Labels[keys.DashedSpaceGUID], pod.Labels[keys.DashedOrganizationGUID], pod.Labels[keys.DashedSourceType])
}

// PodMetadata returns the labels and annotations that every pod of the LRP should carry
// although its template may lack them. A nil annotation should not be there.
func (l *LRP) PodMetadata() (labels map[string]string, annotations map[string]*string) {
	annotations = map[string]*string{keys.MetricTags: nil}
	if tags := l.MetricTags(); tags != "" {
		annotations[keys.MetricTags] = &tags
	}
	return map[string]string{
		keys.DashedAppGUID:          l.AppGUID,
		keys.DashedSpaceGUID:        l.SpaceGUID,
		keys.DashedOrganizationGUID: l.OrganizationGUID,
		keys.DashedSourceType:       keys.SourceTypeApp,
	}, annotations
}

// LacksMetadata reports whether a pod of the LRP should be given what [LRP.PodMetadata]
// returns: it differs from what the pod carries, and the pod neither has ended nor is being
// deleted.
func (p *Pod) LacksMetadata(lrp *LRP) bool {
	return p.metadata != lrp.podMetadata && p.Deleting == nil && p.Phase != corev1.PodFailed && p.Phase != corev1.PodSucceeded
}

// PodsWithoutMetadata returns those pods of the LRP's StatefulSet that lack metadata
// ([Pod.LacksMetadata]), in no order.
func (v *View) PodsWithoutMetadata(lrp LRP) (pods []Pod) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, pod := range v.pods.groups[lrp.UID] {
		if v.lacksMetadata(pod, &lrp) {
			pods = append(pods, *pod)
		}
	}
	return pods
}

// CountPodsWithoutMetadata returns how many pods of all LRPs lack metadata.
func (v *View) CountPodsWithoutMetadata() (count int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for owner, pods := range v.pods.groups {
		lrp, known := v.lrps.byUID[owner]
		if !known || !v.alive(lrp) {
			continue
		}
		for _, pod := range pods {
			if v.lacksMetadata(pod, lrp) {
				count++
			}
		}
	}
	return count
}

// lacksMetadata is LacksMetadata for pods in the store, on which tombstones may lie.
func (v *View) lacksMetadata(pod *Pod, lrp *LRP) bool {
	if !pod.LacksMetadata(lrp) {
		return false
	}
	_, buried := v.pods.tombstones.buried(pod.UID)
	return !buried
}

// readableTags returns the text of metric tags as [LRP.MetricTags] does: empty for what can't
// be JSON.
func readableTags(text string) string {
	if strings.Contains(text, tagMark) {
		return ""
	}
	return text
}
