package render

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// UserAnnotations lists the annotations that users may set on the pods of their apps. An
// entry is a key ("prometheus.io/scrape") or, if it ends with a slash, stands for every
// key that begins with it ("prometheus.io/").
//
// Annotations of pods steer whatever runs in a cluster: network plugins, container
// runtimes, service meshes, controllers that hand out cloud identities. No list of bad
// ones is ever complete, so everything that is not listed is left out.
type UserAnnotations []string

// platformDomains are the domains whose annotations steer Kubernetes or Irene. Users
// never set them.
var platformDomains = []string{"kubernetes.io", "k8s.io", "cloudfoundry.org"}

// ValidateUserAnnotation returns the reasons why entry can't be one of UserAnnotations, or
// nothing. Kubernetes' and Irene's own domains can't be listed.
func ValidateUserAnnotation(entry string) []string {
	domain, name, found := strings.Cut(entry, "/")
	if !found {
		return []string{"it must be a domain and a slash, or a domain, a slash and a name"}
	}
	if name == "" {
		name = "any"
	}
	reasons := validation.IsQualifiedName(domain + "/" + name)
	for _, own := range platformDomains {
		if domain == own || strings.HasSuffix(domain, "."+own) {
			reasons = append(reasons, "annotations of "+own+" are the platform's own")
		}
	}
	return reasons
}

// LeftOut returns the sorted keys of the annotations that may not stand on pods.
func (u UserAnnotations) LeftOut(annotations map[string]string) []string {
	_, leftOut := u.split(annotations)
	return leftOut
}

// split returns the annotations that may stand on pods, and the sorted keys of the others.
func (u UserAnnotations) split(annotations map[string]string) (allowed map[string]string, leftOut []string) {
	allowed = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if u.allow(key) {
			allowed[key] = annotations[key]
		} else {
			leftOut = append(leftOut, key)
		}
	}
	return allowed, leftOut
}

func (u UserAnnotations) allow(key string) bool {
	// Kubernetes takes the domain's letters in either case.
	if len(validation.IsQualifiedName(strings.ToLower(key))) > 0 {
		return false
	}
	return slices.ContainsFunc(u, func(entry string) bool {
		return key == entry || strings.HasSuffix(entry, "/") && strings.HasPrefix(key, entry)
	})
}
