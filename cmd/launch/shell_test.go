package main

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// The shell must take every word that quote writes for what it was.
func TestQuote(t *testing.T) {
	g := NewWithT(t)
	for _, word := range []string{"", "a b", "'", "''", `"'\'"`, "$(x) `y` ${z} !1 *", "\n\t\\", "☃"} {
		script := shellScript("/bin/bash", nil, "printf %s", word)
		g.Expect(script).To(HavePrefix("exec printf %s '"))
		d := newDroplet(t).file(t, "staging_info.yml", `{"config":{"entrypoint_prefix":"printf %s"}}`)
		if strings.TrimSpace(word) == "" {
			continue
		}
		g.Expect(d.with("START_COMMAND", word).run(t).stdout.String()).To(Equal(word))
	}
}
