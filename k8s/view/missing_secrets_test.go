package view

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/keys"
)

func TestNamesOfMissingSecretsArePruned(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5, annotated(keys.Secret, "s")))
	list(g, v.secrets, 10)
	g.Expect(v.missing.names).To(HaveLen(1))
	version := 11
	for i := range 3 * pruneMissing {
		name := fmt.Sprint("gone-", i)
		g.Expect(v.secrets.Add(secretMeta(name, name, version))).To(Succeed())
		g.Expect(v.secrets.Delete(secretMeta(name, name, version+1))).To(Succeed())
		version += 2
	}
	g.Expect(len(v.missing.names)).To(BeNumerically("<=", pruneMissing+2), "no LRP refers to them")
	g.Expect(v.LRPs()).To(BeEmpty(), "pruning keeps the name that an LRP refers to")
	g.Expect(v.secrets.Add(secretMeta("s", "uid-s", version))).To(Succeed())
	g.Expect(v.LRPs()).To(HaveLen(1))
	v.NoteStatefulSet(statefulSet("a", "uid-a", version, annotated(keys.Secret, "other")))
	g.Expect(v.LRPs()).To(BeEmpty(), "the new version refers to a Secret that is missing")
}
