package view

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/irene-cf/irene/k8s/keys"
)

func TestMetricTagsComeBackByteForByte(t *testing.T) {
	named := func(set *appsv1.StatefulSet) {
		set.Labels[keys.AppGUID] = "app-guid"
		set.Annotations[keys.ApplicationName] = `a "quoted" <app>`
		set.Annotations[keys.SpaceName] = "dev"
		set.Annotations[keys.OrganizationName] = "dev"
	}
	for _, text := range []string{
		"",
		`{}`,
		`{"app_name":"dora"}`,
		`{"app_id":"app-guid","app_name":"a \"quoted\" \u003capp\u003e","organization_name":"dev","space_name":"dev","team":"blue"}`,
		`{"instance_id":{"dynamic":"index"},"source_id":"app-guid","x":"app-guid-2","y":"dev:\"dev\""}`,
		`not JSON :"dev"`,
	} {
		g := NewWithT(t)
		v, _ := idleView(t)
		list(g, v.lrps, 10, statefulSet("app", "uid-a", 5, annotated(keys.MetricTags, text), named))
		lrp, _ := v.LRP(appID)
		g.Expect(lrp.MetricTags()).To(Equal(text))
	}
}

func TestMetricTagsOfManyLRPsAreInMemoryOnce(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	tags := func(app string) LRP {
		set := statefulSet("app-"+app, "uid-"+app, 5, annotated(keys.ApplicationName, app),
			annotated(keys.MetricTags, `{"app_name":"`+app+`","instance_id":{"dynamic":"index"}}`))
		return v.FromLive(set)
	}
	one, other := tags("one"), tags("other")
	g.Expect(one.tags).To(Equal(other.tags))
	g.Expect(one.MetricTags()).NotTo(Equal(other.MetricTags()))
}
