package render_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// Releases without a key left bare hashes on what still runs.
func TestDigestsOfFormerReleasesStillCompareEqual(t *testing.T) {
	for name, stored := range map[string]string{
		"buildpack":          "0ab8008eb76037e37c2a394a1ddf2ba2f2b9fde31772034b5d70f622f979b026",
		"docker-private":     "2346fe873ab293b0d1c95dd9bdc6e95bd51d30191e10d8c8a57bb0a2e312847b",
		"placed-with-volume": "4002b16745a602d7751eafd524329534cd675ca36cb9492f7ce366cbf82410db",
		"worker":             "7cfa82ed25439620f28d2d3c9bffd7959408451a23fc2924e8bf5a85cfb15715",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lrp := goldenRequest(t, name)
			g.Expect(testKey.SameRequest(stored, lrp)).To(BeTrue())
			lrp.Limits.MemoryMiB++
			g.Expect(testKey.SameRequest(stored, lrp)).To(BeFalse())
		})
	}
}

func TestSecretsOfFormerReleasesAreKnownByTheirNames(t *testing.T) {
	for name, c := range map[string]struct{ statefulSet, secret string }{
		"buildpack":      {"test-app-kubecf-5ae5449c68", "test-app-kubecf-5ae5449c68-f81a360edc"},
		"docker-private": {"app-name-space-name-e315998fe4", "app-name-space-name-e315998fe4-644c4f15c7"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lrp := goldenRequest(t, name)
			secret, statefulSet := objects(t, lrp)
			g.Expect(statefulSet.Name).To(Equal(c.statefulSet))
			g.Expect(testKey.SameSecret(c.secret, statefulSet.Name, secret)).To(BeTrue())
			g.Expect(testKey.SameSecret(secret.Name, statefulSet.Name, secret)).To(BeTrue())
			lrp.Environment["PASSWORD"] = "another"
			other, _ := objects(t, lrp)
			g.Expect(testKey.SameSecret(c.secret, statefulSet.Name, other)).To(BeFalse())
			g.Expect(testKey.SameSecret(secret.Name, statefulSet.Name, other)).To(BeFalse())
		})
	}
}

func TestDigestsKnowARepeatedRequest(t *testing.T) {
	g := NewWithT(t)
	lrp := docker(t, "org/image")
	lrp.RootFS.Image.Credentials = &opi.RegistryCredentials{Username: "u", Password: "p"}
	_, statefulSet := objects(t, lrp)
	stored := statefulSet.Annotations[keys.RequestDigest]
	again := lrp
	again.Instances, again.Annotation, again.Routes = 7, "other", opi.Routes{}
	g.Expect(testKey.SameRequest(stored, again)).To(BeTrue())
	again.RootFS.Image = &opi.Image{Reference: "org/image", Credentials: &opi.RegistryCredentials{Username: "u", Password: "q"}}
	g.Expect(testKey.SameRequest(stored, again)).To(BeFalse())
	g.Expect(render.DigestKey("another key of thirty-two bytes.").SameRequest(stored, lrp)).To(BeFalse())
	for _, nonsense := range []string{"", "hmac-sha256:", "hmac-sha256:xyz", "later-form:00"} {
		g.Expect(testKey.SameRequest(nonsense, lrp)).To(BeFalse())
	}
}

// Whoever reads StatefulSets knows everything of a request but its secret values. No hash
// that they can compute over a guess may stand there, whole or in part.
func TestDigestsOnObjectsCantBeGuessed(t *testing.T) {
	g := NewWithT(t)
	lrp := docker(t, "org/image")
	lrp.Environment["PASSWORD"] = "hunter2"
	secret, statefulSet := objects(t, lrp)
	text, err := json.Marshal(statefulSet)
	g.Expect(err).NotTo(HaveOccurred())

	// The hashes of releases that had no key, over a guess that is right.
	request, err := json.Marshal(struct {
		LRP         opi.LRP
		Credentials *opi.RegistryCredentials
	}{LRP: template(lrp)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).NotTo(ContainSubstring(fmt.Sprintf("%x", sha256.Sum256(request))))
	content := []byte("Opaque")
	for _, key := range []string{"env.0", "env.1", "env.2", "env.3"} {
		if value, is := secret.Data[key]; is {
			content = fmt.Appendf(content, "\x00%s\x00%d\x00%s", key, len(value), value)
		}
	}
	g.Expect(string(text)).NotTo(ContainSubstring(fmt.Sprintf("%x", sha256.Sum256(content))[:10]))

	// With another key everything else is the same.
	otherSecret, other, err := goldenSettings().LRP(lrp, render.ResolvedImage{}, "{}", render.DigestKey("another key of thirty-two bytes."))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(otherSecret.Name).NotTo(Equal(secret.Name))
	g.Expect(other.Annotations[keys.RequestDigest]).NotTo(Equal(statefulSet.Annotations[keys.RequestDigest]))
	otherText, err := json.Marshal(other)
	g.Expect(err).NotTo(HaveOccurred())
	without := func(text []byte, secret, digest string) string {
		return strings.NewReplacer(secret, "SECRET", digest, "DIGEST").Replace(string(text))
	}
	g.Expect(without(otherText, otherSecret.Name, other.Annotations[keys.RequestDigest])).
		To(Equal(without(text, secret.Name, statefulSet.Annotations[keys.RequestDigest])))
}

// template is what of an LRP a template is made from.
func template(lrp opi.LRP) opi.LRP {
	lrp.Instances, lrp.Routes, lrp.Annotation = 0, opi.Routes{}, ""
	return lrp
}
