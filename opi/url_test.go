package opi

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestParseHTTPURL(t *testing.T) {
	for _, text := range []string{
		"http://host", "https://host/path?query#fragment", "https://user:password@host:9023/", "HTTPS://host", "http://[::1]:80",
	} {
		g := NewWithT(t)
		u, err := ParseHTTPURL(text)
		g.Expect(err).NotTo(HaveOccurred(), "%q", text)
		g.Expect(u.Host).NotTo(BeEmpty(), "%q", text)
		g.Expect(IsHTTP(u)).To(BeTrue(), "%q", text)
	}
	for _, text := range []string{
		"", "host", "host:80", "/path", "//host/path", "http:", "http://", "https:///path", "ftp://host", "nats://host", "docker://host/image",
		"https://host:password", "http://ho st", "https://user:secret\x7f@host",
	} {
		u, err := ParseHTTPURL(text)
		NewWithT(t).Expect([]any{u, err}).To(HaveExactElements(BeNil(), MatchError("not an http or https URL with a host")), "%q", text)
	}
}
