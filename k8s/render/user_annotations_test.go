package render_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/render"
)

func TestPodsHaveOnlyAnnotationsThatAreListed(t *testing.T) {
	for key, listed := range map[string]bool{
		"prometheus.io/scrape":              true,
		"metrics.example.org/port":          true,
		"metrics.example.org/other":         false,
		"prometheus.io":                     false,
		"prometheus.io/":                    false,
		"prometheus.io/a b":                 false,
		"prometheus.io/a/b":                 false,
		"prometheus.io.example/port":        false,
		"x.prometheus.io/port":              false,
		"k8s.v1.cni.cncf.io/networks":       false,
		"iam.amazonaws.com/role":            false,
		"sidecar.istio.io/inject":           false,
		"io.katacontainers.config.x":        false,
		"cluster-autoscaler.kubernetes.io/": false,
		"irene.cloudfoundry.org/told":       false,
		"cloudfoundry.org/version":          false,
		"":                                  false,
	} {
		t.Run(key, func(t *testing.T) {
			g := NewWithT(t)
			lrp := goldenLRP(t)
			_, plain := objects(t, lrp)
			lrp.UserAnnotations = map[string]string{key: "theirs"}
			_, statefulSet := objects(t, lrp)
			annotations := statefulSet.Spec.Template.Annotations
			if listed {
				g.Expect(annotations).To(HaveKeyWithValue(key, "theirs"))
				delete(annotations, key)
			}
			g.Expect(annotations).To(Equal(plain.Spec.Template.Annotations))
		})
	}
}

func TestWhatCanBeListedAsUserAnnotations(t *testing.T) {
	for entry, reason := range map[string]string{
		"prometheus.io/": "", "metrics.example.org/port": "",
		"":                            "must be a domain and a slash",
		"prometheus.io":               "must be a domain and a slash",
		"/port":                       "prefix part must be non-empty",
		"example.org/a b":             "must consist of alphanumeric characters",
		"example.org/a/b":             "optional DNS subdomain prefix",
		"kubernetes.io/":              "the platform's own",
		"x.k8s.io/y":                  "the platform's own",
		"irene.cloudfoundry.org/told": "the platform's own",
	} {
		t.Run(entry, func(t *testing.T) {
			g := NewWithT(t)
			reasons := strings.Join(render.ValidateUserAnnotation(entry), "; ")
			if reason == "" {
				g.Expect(reasons).To(BeEmpty())
			} else {
				g.Expect(reasons).To(ContainSubstring(reason))
			}
		})
	}
}
