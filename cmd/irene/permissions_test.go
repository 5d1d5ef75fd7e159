package main

import (
	"os"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// grantedBy are the verbs by resource, as permission prints it, in a file of the chart.
func grantedBy(t *testing.T, file string) map[string][]string {
	t.Helper()
	content, err := os.ReadFile("../../deploy/helm/irene/rbac/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var rules []rbacv1.PolicyRule
	if err := yaml.UnmarshalStrict(content, &rules); err != nil {
		t.Fatal(err)
	}
	granted := map[string][]string{}
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				one := permission{group: group, resource: resource}.String()
				granted[one] = append(granted[one], rule.Verbs...)
			}
		}
	}
	return granted
}

func TestTheChartGrantsWhatTheDoctorAsksForAndNoMore(t *testing.T) {
	g := NewWithT(t)
	config := DefaultConfiguration()
	config.Kubernetes.Namespace = "apps"
	config.Registry.Address = "registry.example"
	config.Registry.PullUsernameFile = "/etc/user"
	config.CloudController.URL = "https://cloud-controller.example"
	config.LeaderElection.Namespace = "irene"
	asked := map[string]map[string][]string{"apps.yaml": {}, "cluster.yaml": {}}
	for _, one := range config.permissions() {
		file := "apps.yaml"
		switch {
		case one.cluster:
			file = "cluster.yaml"
		case one.namespace == "irene":
			continue // the Lease, whose Role is in a template
		}
		asked[file][one.String()] = append(asked[file][one.String()], one.verbs...)
	}
	for file, needed := range asked {
		granted := grantedBy(t, file)
		for _, all := range []map[string][]string{needed, granted} {
			for resource := range all {
				slices.Sort(all[resource])
			}
		}
		g.Expect(granted).To(Equal(needed), file)
	}
}
