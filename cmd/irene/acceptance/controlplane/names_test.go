//go:build controlplane

package controlplane_test

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("Names that users gave", func() {
	DescribeTable("an app runs whatever it is called",
		func(ctx context.Context, name string) {
			d := controlplane.App("x").With("app_name", name)
			controlplane.RunApp(ctx, irene, d)
			set := common.StatefulSet(ctx, d.GUID())
			Expect(set.Name).To(MatchRegexp(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`))
			Expect(len(set.Name)).To(BeNumerically("<=", 52))
			Expect(set.Annotations).To(HaveKeyWithValue("cloudfoundry.org/application_name", name))
			Expect(common.Pods(ctx, d.GUID())).To(HaveEach(HaveField("Annotations", HaveKeyWithValue("cloudfoundry.org/application_name", name))))
		},
		Entry("with dots", patience, "my.app.v2"),
		Entry("ending in a dot", patience, "my-app."),
		Entry("with underscores", patience, "_my__app_"),
		Entry("with blanks and capitals", patience, "My  App!"),
		Entry("in unicode", patience, "ünïcödé-äpp"),
		Entry("in no Latin letter at all", patience, "漢字アプリ🚀"),
		Entry("of 200 characters", patience, strings.Repeat("n", 200)),
		Entry("of 200 characters with a dash where a name is cut", patience, strings.Repeat("n", 39)+"-"+strings.Repeat("m", 160)),
		Entry("of 200 dots", patience, strings.Repeat(".", 200)),
		Entry("of digits", patience, "007"),
		Entry("with markup", patience, `<b>"app"</b> & $(PORT)`),
		Entry("empty", patience, ""),
	)

	It("spaces and organizations may have blanks, other scripts and any length", func(ctx context.Context) {
		d := controlplane.App("tenant").With("space_name", "My Space – Zürich "+strings.Repeat("s", 200)).With("organization_name", "Åcme & Söhne GmbH "+strings.Repeat("o", 200))
		controlplane.RunApp(ctx, irene, d)
		set := common.StatefulSet(ctx, d.GUID())
		Expect(set.Annotations).To(HaveKeyWithValue("cloudfoundry.org/space_name", d["space_name"]))
		Expect(set.Annotations).To(HaveKeyWithValue("cloudfoundry.org/org_name", d["organization_name"]))
	}, patience)

	It("two apps of the same name, space and organization run side by side", func(ctx context.Context) {
		first, second := controlplane.App("same-name"), controlplane.App("same-name")
		controlplane.RunApp(ctx, irene, first)
		controlplane.RunApp(ctx, irene, second)
		Expect(common.StatefulSet(ctx, first.GUID()).Name).NotTo(Equal(common.StatefulSet(ctx, second.GUID()).Name))
	}, patience)

	It("process types may be any text", func(ctx context.Context) {
		d := controlplane.App("typed").With("process_type", "nächtlicher batch/lauf: "+strings.Repeat("t", 80))
		controlplane.RunApp(ctx, irene, d)
		set := common.StatefulSet(ctx, d.GUID())
		Expect(set.Annotations).To(HaveKeyWithValue("cloudfoundry.org/process_type", d["process_type"]))
	}, patience)
})
