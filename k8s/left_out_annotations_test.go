package k8s

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// Whatever the keys, an Event has room for its message.
func TestNamesOfLeftOutAnnotationsAreBounded(t *testing.T) {
	g := NewWithT(t)
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprint(i, strings.Repeat("\x00", 1000)))
	}
	text := quoteSome(keys)
	g.Expect(len(text)).To(BeNumerically("<", 900))
	g.Expect(text).To(HaveSuffix(" and 95 more"))
	g.Expect(quoteSome([]string{"a/b", "c"})).To(Equal(`"a/b", "c"`))
}
