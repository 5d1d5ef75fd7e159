package helm_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// TestEveryRightIsDocumented compares the table of rights with the roles, both ways.
func TestEveryRightIsDocumented(t *testing.T) {
	g := NewWithT(t)
	text, err := os.ReadFile(module + "/docs/install.md")
	g.Expect(err).NotTo(HaveOccurred())
	_, rights, found := strings.Cut(string(text), "\n## Rights\n")
	g.Expect(found).To(BeTrue())
	var documented []string
	for line := range strings.Lines(rights) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		resource, _, named := strings.Cut(strings.TrimSpace(cells[1]), " named ")
		if strings.HasPrefix(resource, "-") || resource == "Resource" || resource == "leases" || named {
			continue
		}
		g.Expect(strings.TrimSpace(cells[3])).NotTo(BeEmpty(), line)
		for verb := range strings.SplitSeq(cells[2], ",") {
			documented = append(documented, resource+" "+strings.TrimSpace(verb))
		}
	}
	var granted []string
	for _, file := range []string{"apps", "cluster"} {
		content, err := os.ReadFile(chart + "/rbac/" + file + ".yaml")
		g.Expect(err).NotTo(HaveOccurred())
		var rules []rbacv1.PolicyRule
		g.Expect(yaml.UnmarshalStrict(content, &rules)).To(Succeed())
		for _, rule := range rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					granted = append(granted, resource+" "+verb)
				}
			}
		}
	}
	slices.Sort(documented)
	slices.Sort(granted)
	g.Expect(documented).To(Equal(granted))
}
