package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestReadyLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ready.json")
	g := NewWithT(t)
	_, done, err := readReady(file)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(done).To(BeFalse(), "not there yet")
	for content, want := range map[string]struct {
		done  bool
		error string
	}{
		`{"kubeconfig":"k"`: {false, ""},
		`{"kubeconfig":"/k","server":"s","nodeAddress":"a","registry":"r:1","certsd":"/c"}` + "\n": {true, ""},
		`{"kubeconfig":"/k","nodeAddress":"a"}` + "\n":                                             {false, "lacks registry, certsd"},
		"hello\n": {false, "isn't its ready line"},
	} {
		g.Expect(os.WriteFile(file, []byte(content), 0o600)).To(Succeed())
		ready, done, err := readReady(file)
		if want.error != "" {
			g.Expect(err).To(MatchError(ContainSubstring(want.error)))
			continue
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(done).To(Equal(want.done))
		if done {
			g.Expect(ready).To(Equal(clusterReady{Kubeconfig: "/k", NodeAddress: "a", Registry: "r:1", CertsD: "/c"}))
		}
	}
}
