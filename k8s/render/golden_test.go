package render_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

var update = flag.Bool("update", false, "write the golden files of this package anew")

// goldenDifferences are all differences between the predecessor's StatefulSet and
// ours for the same request, by field, with the reason. A difference that is not
// listed fails the test, and so does a listed one that no longer exists. The
// expression must match the whole path.
var goldenDifferences = []struct{ path, reason string }{
	{`status\..*|metadata\.(creationTimestamp|generation|resourceVersion|selfLink|uid)|spec\.template\.metadata\.creationTimestamp|` +
		`spec\.(revisionHistoryLimit|serviceName|updateStrategy\..*)|` +
		`spec\.template\.spec\.(dnsPolicy|restartPolicy|schedulerName)|` +
		`spec\.template\.spec\.containers\[opi\]\.terminationMessage(Path|Policy)`,
		goldenDefaults},
	{`metadata\.namespace`, "where the test installs apps"},

	{`metadata\.annotations\.cloudfoundry\.org/original_request`, "kept without environment and credentials: no secret may stand in an annotation"},
	{`(metadata|spec\.template\.metadata)\.annotations\.cloudfoundry\.org/(org_name|process_type)`, "new: names for people, logs and metrics; labels can't hold every name"},
	{`spec\.template\.metadata\.annotations\.cloudfoundry\.org/(application_name|space_name|version)`, "new on pods: logs and metrics are made from pods, and templates never change"},
	{`metadata\.annotations\.irene\.cloudfoundry\.org/(lrp|request-digest)`, "new: the stored LRP, and what tells a repeated request from another"},
	{`metadata\.annotations\.irene\.cloudfoundry\.org/stack`, "new: the name of the stack; rootfs-version has its revision only"},
	{`(metadata|spec\.template\.metadata)\.labels\.cloudfoundry\.org/(space|org)_guid`, "new: select by space and organization"},
	{`(metadata|spec\.template\.metadata)\.labels\.cloudfoundry\.org/(app-guid|space-guid|org-guid|source-type)`, "new: stock policy agents select pods by these names"},
	{`(metadata|spec\.template\.metadata)\.labels\.cloudfoundry\.org/rootfs-version`, "the stack revision that the image tag carries"},

	{`spec\.template\.metadata\.annotations\.seccomp\.security\.alpha\.kubernetes\.io/pod|spec\.template\.spec\.securityContext\.seccompProfile\.type`,
		"Kubernetes ignores the annotation since 1.27; the field replaces it"},
	{`spec\.template\.spec\.securityContext\.(runAsNonRoot|runAsUser|runAsGroup|fsGroup)`, "restricted Pod Security: buildpack apps run as vcap (2000)"},
	{`spec\.template\.spec\.containers\[opi\]\.securityContext\.capabilities\.drop\[0\]`, "restricted Pod Security: no capabilities"},
	{`spec\.template\.spec\.enableServiceLinks`, "no variables about other services in the namespace"},

	{`spec\.template\.spec\.containers\[opi\]\.command\[\d\]`, "/lifecycle/launch is PID 1 by itself, without dumb-init"},
	{`spec\.template\.spec\.containers\[opi\]\.image`, "the tag carries the stack revision"},
	{`spec\.template\.spec\.containers\[opi\]\.imagePullPolicy`, "such a tag never changes its meaning: an app restarts while the registry is away"},
	{`spec\.template\.spec\.containers\[opi\]\.resources\.(limits|requests)\.(memory|ephemeral-storage)`, "Cloud Foundry's MB are MiB"},

	{`spec\.template\.spec\.containers\[opi\]\.env\[(CF_)?INSTANCE_(INDEX|GUID)\]\..*`, "new: the predecessor had no index and no guid; from the pod's label and uid"},
	{`spec\.template\.spec\.containers\[opi\]\.env\[CF_INSTANCE_ADDR\]\.value`, "true for the pod instead of 0.0.0.0"},

	{`spec\.template\.spec\.containers\[opi\]\.startupProbe\..*`, "new: start_timeout_ms bounds the start, asked every second"},
	{`spec\.template\.spec\.containers\[opi\]\.livenessProbe\.terminationGracePeriodSeconds`, "a failed check restarts without the preStop sleep's delay"},
	{`spec\.template\.spec\.containers\[opi\]\.readinessProbe\.failureThreshold`, "one lost answer must not take the routes away"},
	{`spec\.template\.spec\.containers\[opi\]\.lifecycle\.preStop\.sleep\.seconds`, "new: an instance serves on while its unregistration travels"},
	{`spec\.template\.spec\.terminationGracePeriodSeconds`, "15 s with the preStop sleep inside: 10 s for the app, as on Diego"},
	{`spec\.template\.spec\.topologySpreadConstraints\[\d\]\..*`, "new: instances spread over zones and nodes"},
}

func TestGoldenStatefulSet(t *testing.T) {
	g := NewWithT(t)
	request, err := fixtures.Golden.ReadFile("golden/test-app-desire.json")
	g.Expect(err).NotTo(HaveOccurred())
	received := sendDesire(t, request)
	_, statefulSet, err := goldenSettings().LRP(received.desired, assembled, received.request, testKey)
	g.Expect(err).NotTo(HaveOccurred())
	ours, err := yaml.Marshal(statefulSet)
	g.Expect(err).NotTo(HaveOccurred())
	theirs, err := fixtures.Golden.ReadFile("golden/test-app-statefulset.yaml")
	g.Expect(err).NotTo(HaveOccurred())

	found := map[string]bool{}
	document := strings.Builder{}
	document.WriteString(goldenDocument)
	ourFields, theirFields := flatten(t, ours), flatten(t, theirs)
	for _, path := range slices.Sorted(maps.Keys(union(ourFields, theirFields))) {
		if path == "apiVersion" || path == "kind" || reflect.DeepEqual(ourFields[path], theirFields[path]) {
			continue
		}
		reason := ""
		for _, difference := range goldenDifferences {
			if regexp.MustCompile(`^(?:` + difference.path + `)$`).MatchString(path) {
				reason, found[difference.reason] = difference.reason, true
				break
			}
		}
		if reason == "" {
			t.Errorf("%s: golden %#v, ours %#v: not a listed difference", path, theirFields[path], ourFields[path])
			continue
		}
		if reason != goldenDefaults {
			fmt.Fprintf(&document, "| `%s` | %s | %s | %s |\n", path, short(theirFields[path]), short(ourFields[path]), reason)
		}
	}
	for _, difference := range goldenDifferences {
		if !found[difference.reason] {
			t.Errorf("listed difference does not exist: %s (%s)", difference.path, difference.reason)
		}
	}

	const path = "../../docs/golden-differences.md"
	if *update {
		g.Expect(os.WriteFile(path, []byte(document.String()), 0o644)).To(Succeed())
	}
	documented, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(document.String()).To(Equal(string(documented)), "run go test ./k8s/render -update")
}

const goldenDefaults = "API-server defaults and status"

const goldenDocument = `# What differs from the predecessor's StatefulSet

For one and the same request (fixtures/golden/test-app-desire.json) Eirini 1.0 made the StatefulSet in
fixtures/golden/test-app-statefulset.yaml on a production-like cluster. This is every field in which Irene's differs,
with the reason; what the API server fills in by itself is left out. A test writes this page (go test ./k8s/render -update)
and fails on any difference that has no reason.

| field | golden | Irene | reason |
|---|---|---|---|
`

// TestGoldenObjects shows what typical requests become; run with -update to write
// the files anew after a wanted change.
func TestGoldenObjects(t *testing.T) {
	for _, name := range []string{"buildpack", "docker-private", "worker", "placed-with-volume"} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lrp := goldenRequest(t, name)
			settings := goldenSettings()
			settings.UserNamespaces = name == "docker-private"
			image := render.ResolvedImage{}
			if lrp.Droplet != nil {
				image = assembled
			}
			secret, statefulSet, err := settings.LRP(lrp, image, "", testKey)
			g.Expect(err).NotTo(HaveOccurred())
			var rendered []byte
			if secret != nil {
				text, err := yaml.Marshal(secret)
				g.Expect(err).NotTo(HaveOccurred())
				rendered = append(text, "---\n"...)
			}
			text, err := yaml.Marshal(statefulSet)
			g.Expect(err).NotTo(HaveOccurred())
			rendered = append(rendered, text...)

			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				g.Expect(os.WriteFile(golden, rendered, 0o644)).To(Succeed())
			}
			want, err := os.ReadFile(golden)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(rendered)).To(Equal(string(want)))
		})
	}
}

// assembled is what the registry says of the droplets.
var assembled = render.ResolvedImage{AppImage: render.AppImage{Revision: "4f1a9c07", Stack: "cflinuxfs3"}}

var testKey = render.DigestKey("0123456789abcdef0123456789abcdef")

// goldenRequest is the LRP of a request in testdata.
func goldenRequest(t *testing.T, name string) opi.LRP {
	t.Helper()
	request, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return sendDesire(t, request).desired
}

// goldenSettings are the settings of the cluster that the golden StatefulSet comes
// from, and Irene's defaults.
func goldenSettings() render.Settings {
	return render.Settings{
		Namespace: "apps",
		Registry: render.RegistrySettings{
			PullAddress: "127.0.0.1:32123", Prefix: "cloudfoundry",
			PullSecret: "bits-service-registry-secret",
		},
		DefaultDiskMiB:   2048,
		TerminationGrace: 15 * time.Second,
		PreStopSleep:     5 * time.Second,
		UserAnnotations:  render.UserAnnotations{"prometheus.io/", "metrics.example.org/port"},
		Placement:        render.PlacementSettings{NodeLabel: "cloudfoundry.org/isolation-segment"},
		Probes: render.ProbeSettings{
			LivenessPeriod: 10 * time.Second, LivenessFailures: 4,
			ReadinessPeriod: 10 * time.Second, ReadinessFailures: 2,
			Timeout: time.Second,
		},
	}
}

func goldenLRP(t *testing.T) opi.LRP {
	t.Helper()
	request, err := fixtures.Golden.ReadFile("golden/test-app-desire.json")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return sendDesire(t, request).desired
}

// sendDesire sends a desire request through the front door and returns what arrives
// behind it.
func sendDesire(t *testing.T, request []byte) *recordingLRPs {
	t.Helper()
	g := NewWithT(t)
	var identity struct{ GUID, Version string }
	g.Expect(json.Unmarshal(request, &identity)).To(Succeed())
	backEnd := &recordingLRPs{}
	response := httptest.NewRecorder()
	path := "/apps/" + identity.GUID + "-" + identity.Version
	api.NewHandler(api.Options{LRPs: backEnd, Refusals: opi.NewRefusals(), Logger: lager.NewLogger("test")}).
		ServeHTTP(response, httptest.NewRequest(http.MethodPut, path, strings.NewReader(string(request))))
	g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
	return backEnd
}

type recordingLRPs struct {
	api.LRPs
	desired opi.LRP
	request string
}

func (r *recordingLRPs) Desire(_ context.Context, lrp opi.LRP) error {
	r.desired, r.request = lrp, lrp.OriginalRequest
	return nil
}

// flatten makes one entry of each leaf. Elements of lists that have a name are keyed
// by it, since their order means nothing.
func flatten(t *testing.T, document []byte) map[string]any {
	t.Helper()
	var tree any
	NewWithT(t).Expect(yaml.Unmarshal(document, &tree)).To(Succeed())
	fields := map[string]any{}
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch node := node.(type) {
		case map[string]any:
			for key, child := range node {
				walk(strings.TrimPrefix(path+"."+key, "."), child)
			}
		case []any:
			for i, child := range node {
				key := fmt.Sprint(i)
				if named, ok := child.(map[string]any); ok && named["name"] != nil {
					key = named["name"].(string)
				}
				walk(path+"["+key+"]", child)
			}
		case nil:
		default:
			fields[path] = node
		}
	}
	walk("", tree)
	return fields
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// short is a value for a table of the documentation.
func short(value any) string {
	if value == nil {
		return "–"
	}
	text := fmt.Sprintf("%v", value)
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return "`" + strings.ReplaceAll(text, "|", "\\|") + "`"
}
