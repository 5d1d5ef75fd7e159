package opi_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func TestImageReferences(t *testing.T) {
	g := NewWithT(t)
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, reference := range []string{
		"busybox", "org/app", "org/app:v1", "registry.example.com/app", "registry:5000/org/app:v1", "localhost/app", "HOST/app",
		"org/app@" + digest, "org/app:v1@" + digest, "org/app@sha512:" + strings.Repeat("0", 128), "[::1]:5000/app", "a_b/c__d/e-f.g:1.0_x-Y",
	} {
		g.Expect(opi.Image{Reference: reference}.Validate()).To(Succeed(), reference)
	}
	for _, reference := range []string{
		"", "repo/app/", "repo//app:1", "app:-x", "/app", "app:", "app@", "app@sha256:0", "org/App", "_app", "app_", "a b", "app:v1:v2",
		"https://registry.example.com/app", "app:" + strings.Repeat("x", 129), strings.Repeat("0", 64),
	} {
		err := opi.Image{Reference: reference}.Validate()
		g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveField("Field", "reference")), reference)
	}
}

// Errors are logged, so they have no credentials.
func TestImageReferencesWithCredentials(t *testing.T) {
	g := NewWithT(t)
	for reference, quoted := range map[string]string{
		"https://user:secret@host/app":       `"…@host/app" must not have`,
		"user:secret@host:99999/org/app":     `"…@host:99999/org/app" is not`,
		"https://host/app?sig=secret":        `"https://host/app" must not have`,
		"repo/APP@sha256:0":                  `"repo/APP@sha256:0" is not`,
		"https://user:secret@host/app/b@x:y": `"…@host/app/b@x:y" must not have`,
	} {
		err := opi.Image{Reference: reference}.Validate()
		g.Expect(err).To(MatchError(ContainSubstring(quoted)), reference)
		g.Expect(err).NotTo(MatchError(ContainSubstring("secret")), reference)
	}
}
