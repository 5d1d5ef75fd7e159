package opi

import (
	"errors"
	"regexp"
	"sort"
	"strings"
)

var annotationName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)

// reservedDomains are the prefixes whose annotations steer Kubernetes or Irene
// and are never a user's to set.
var reservedDomains = []string{"kubernetes.io", "k8s.io", "cloudfoundry.org"}

func validateUserAnnotations(annotations map[string]string) error {
	var errs []error
	for _, key := range sortedKeys(annotations) {
		field := "userAnnotations." + abbreviate(key)
		prefix, name, hasPrefix := strings.Cut(key, "/")
		if !hasPrefix {
			prefix, name = "", key
		}
		if !annotationName.MatchString(name) || hasPrefix && !dnsSubdomain.MatchString(strings.ToLower(prefix)) {
			errs = append(errs, Invalid(field, "is not an annotation key (prefix/name)"))
			continue
		}
		for _, domain := range reservedDomains {
			if prefix == domain || strings.HasSuffix(prefix, "."+domain) {
				errs = append(errs, Invalid(field, "annotations of %s are the platform's own", domain))
			}
		}
	}
	return errors.Join(errs...)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
