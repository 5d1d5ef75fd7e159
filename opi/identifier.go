package opi

import (
	"errors"
	"regexp"
	"strings"
)

var (
	// labelValue is Kubernetes' rule for label values, by which objects are found.
	labelValue = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	// dnsSubdomain is Kubernetes' rule for most object names, which have 253 bytes at
	// the most.
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	// repositoryComponent and tagComponent follow the OCI distribution
	// specification. A tag has 128 bytes at the most: 100 leave room for a suffix.
	repositoryComponent = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)
	tagComponent        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$`)
)

func isDNSSubdomain(name string) bool { return len(name) <= 253 && dnsSubdomain.MatchString(name) }

func validateIdentifier(field, value string) error {
	switch {
	case value == "":
		return Invalid(field, "is missing")
	case !labelValue.MatchString(value):
		return Invalid(field, "%q must have at most 63 letters, digits, '-', '_' or '.' and begin and end with a letter or digit", abbreviate(value))
	}
	return nil
}

func validateOwner(field string, owner Owner) error {
	var errs []error
	if owner.GUID != "" {
		errs = append(errs, validateIdentifier(field+".guid", owner.GUID))
	}
	if strings.ContainsRune(owner.Name, 0) {
		errs = append(errs, Invalid(field+".name", "must not contain a NUL byte"))
	}
	return errors.Join(errs...)
}
