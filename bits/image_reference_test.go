package bits

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestParseImage(t *testing.T) {
	g := NewWithT(t)
	digest := "sha256:" + strings.Repeat("0", 64)
	for text, want := range map[string]string{
		"busybox":                         "index.docker.io/library/busybox:latest",
		"docker.io/org/app:v1":            "index.docker.io/org/app:v1",
		"org/app:v1@" + digest:            "index.docker.io/org/app@" + digest,
		"localhost/app":                   "localhost/app:latest",
		"registry.example.com:5000/a/b:c": "registry.example.com:5000/a/b:c",
	} {
		reference, err := parseImage(text)
		g.Expect(err).NotTo(HaveOccurred(), text)
		g.Expect(reference.Name()).To(Equal(want))
	}
	_, err := parseImage("repo/app/")
	g.Expect(err).To(HaveOccurred())
}
