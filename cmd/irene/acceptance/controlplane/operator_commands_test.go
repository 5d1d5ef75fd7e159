//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("Commands for operators", func() {
	It("show apps, their routes, and what Cloud Controller's sync would find", func(ctx context.Context) {
		place := aloneRouting(ctx)
		process := place.Start(ctx)
		o := &operated{Platform: place.Platform}
		o.settle(nil)
		ready := controlplane.App("ready").With("instances", 2).Routes("ready.example.com", 8080)
		waiting := controlplane.App("waiting").Routes("waiting.example.com", 8080).With("placement_tags", []string{"nowhere"})
		controlplane.RunApp(ctx, process, ready)
		controlplane.DesireApp(ctx, process, waiting)
		Eventually(func() (cloudcontroller.Instance, error) {
			instances, err := process.Instances(ctx, waiting.GUID(), waiting.Version())
			return instances[0], err
		}).Should(HaveField("PlacementError", Not(BeEmpty())))

		By("irene lrps")
		stdout, _ := o.ends(ctx, 0, "lrps")
		AddReportEntry("irene lrps", stdout, ReportEntryVisibilityAlways)
		Expect(stdout).To(MatchRegexp(`ready +web +2/2 +- .*` + ready.ProcessGUID()))
		Expect(stdout).To(MatchRegexp(`waiting +web +0/1 +1 UNCLAIMED .*` + waiting.ProcessGUID() + ` +0: .*node`))
		var lrps []struct {
			ProcessGUID string `json:"process_guid"`
			Running     int
			Instances   []struct{ State, Pod, Node string }
		}
		o.shows(ctx, 0, &lrps, "lrps", "READY")
		Expect(lrps).To(HaveLen(1))
		Expect(lrps[0].ProcessGUID).To(Equal(ready.ProcessGUID()))
		Expect(lrps[0].Instances).To(HaveEach(And(HaveField("State", "RUNNING"), HaveField("Pod", Not(BeEmpty())), HaveField("Node", HavePrefix("fake-")))))

		By("irene routes")
		stdout, _ = o.ends(ctx, 0, "routes")
		AddReportEntry("irene routes", stdout, ReportEntryVisibilityAlways)
		var routes []struct {
			URI, Pod, Address, Why string
			Published              bool
		}
		o.shows(ctx, 0, &routes, "routes", ready.GUID())
		Expect(routes).To(HaveLen(2))
		var addresses []string
		for _, one := range routes {
			Expect(one.URI).To(Equal("ready.example.com"))
			Expect(one.Published).To(BeTrue())
			addresses = append(addresses, one.Address)
		}
		Eventually(func() []string { return place.routers[0].addresses("ready.example.com") }).Should(ConsistOf(addresses))
		o.shows(ctx, 0, &routes, "routes", "waiting")
		Expect(routes).To(ConsistOf(And(HaveField("Published", false), HaveField("Why", "has no node yet"), HaveField("Address", ""))))

		By("irene diff")
		type line = map[string]any
		list := func(lines ...line) string {
			content, err := json.Marshal(lines)
			Expect(err).NotTo(HaveOccurred())
			file := filepath.Join(o.Dir, "wanted.json")
			Expect(os.WriteFile(file, content, 0o600)).To(Succeed())
			return file
		}
		held := controlplane.Annotation(ctx, process, ready)
		stdout, _ = o.ends(ctx, 0, "diff", list(
			line{"process_guid": ready.ProcessGUID(), "annotation": held, "instances": 2},
			line{"process_guid": waiting.ProcessGUID(), "updated_at": "2020-03-23 06:51:49", "instances": 1},
		))
		Expect(stdout).To(Equal("no difference in 2 processes\n"))
		another := cloudcontroller.NewGUID() + "-" + cloudcontroller.NewGUID()
		wanted := list(line{"process_guid": ready.ProcessGUID(), "annotation": "1.5"}, line{"process_guid": another, "updated_at": 1584946309.0})
		stdout, _ = o.ends(ctx, 3, "diff", wanted)
		AddReportEntry("irene diff", stdout, ReportEntryVisibilityAlways)
		var differences []struct {
			Difference  string
			ProcessGUID string `json:"process_guid"`
		}
		o.shows(ctx, 3, &differences, "diff", wanted)
		Expect(differences).To(HaveExactElements(
			And(HaveField("Difference", "missing"), HaveField("ProcessGUID", another)),
			And(HaveField("Difference", "orphaned"), HaveField("ProcessGUID", waiting.ProcessGUID())),
			And(HaveField("Difference", "annotation"), HaveField("ProcessGUID", ready.ProcessGUID())),
		))

		By("a Secret being gone")
		d := controlplane.App("secretive").Env("KEY", "value")
		controlplane.RunApp(ctx, process, d)
		for _, name := range place.SecretNames(ctx, d.GUID()) {
			Expect(api.CoreV1().Secrets(place.Namespace).Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
		}
		stdout, _ = o.ends(ctx, 3, "diff", list(line{"process_guid": d.ProcessGUID(), "annotation": "1584946309.0"}))
		Expect(stdout).To(MatchRegexp(`missing +` + d.ProcessGUID() + ` .*its Secret .* is missing`))

		By("no API server")
		o.config["kubernetes"] = map[string]any{"kubeconfig_file": "/nowhere", "namespace": place.Namespace}
		_, stderr := o.ends(ctx, 1, "lrps")
		Expect(stderr).To(ContainSubstring("/nowhere"))
	}, SpecTimeout(3*time.Minute))
})
