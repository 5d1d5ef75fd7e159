package k8s

import (
	"net/http"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestCallsAreCountedByVerbAndResource(t *testing.T) {
	for call, want := range map[string][2]string{
		"GET /api/v1/namespaces/apps/pods":                                {"list", "pods"},
		"GET /api/v1/namespaces/apps/pods?watch=true":                     {"watch", "pods"},
		"GET /api/v1/nodes?watch=true&resourceVersion=1":                  {"watch", "nodes"},
		"GET /api/v1/nodes":                                               {"list", "nodes"},
		"GET /api/v1/nodes/one":                                           {"get", "nodes"},
		"GET /api/v1/namespaces/apps":                                     {"get", "namespaces"},
		"DELETE /api/v1/namespaces/apps/pods/one":                         {"delete", "pods"},
		"POST /apis/apps/v1/namespaces/apps/statefulsets":                 {"create", "statefulsets"},
		"PUT /apis/coordination.k8s.io/v1/namespaces/irene/leases/leader": {"update", "leases"},
		"PATCH /apis/apps/v1/namespaces/apps/statefulsets/one":            {"patch", "statefulsets"},
		"GET /version": {"list", "version"},
		"GET /apis":    {"get", "other"},
	} {
		t.Run(call, func(t *testing.T) {
			g := NewWithT(t)
			method, path, _ := strings.Cut(call, " ")
			request, err := http.NewRequest(method, "https://apiserver"+path, nil)
			g.Expect(err).NotTo(HaveOccurred())
			verb, resource := operation(request)
			g.Expect([2]string{verb, resource}).To(Equal(want))
		})
	}
}
