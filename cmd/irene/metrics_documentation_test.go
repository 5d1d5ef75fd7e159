package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"

	"github.com/irene-cf/irene/bits/registry"
	"github.com/irene-cf/irene/k8s"
)

// metricsPage describes all metrics, and rulesFile has the alerts on them.
const (
	metricsPage = "../../docs/metrics.md"
	operatePage = "../../docs/operate.md"
	rulesFile   = "../../deploy/helm/irene/rules/irene.yaml"
)

// described notes what is registered, without any samples.
type described struct {
	prometheus.Registerer
	descriptions chan *prometheus.Desc
}

func (d described) Register(c prometheus.Collector) error {
	c.Describe(d.descriptions)
	return nil
}

func (d described) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		c.Describe(d.descriptions)
	}
}

func (d described) Unregister(prometheus.Collector) bool { return true }

// descriptionForm is how the library prints a Desc.
var descriptionForm = regexp.MustCompile(`^Desc\{fqName: "(irene_\w+)", help: .*, variableLabels: \{(.*)\}\}$`)

// labelsOf are the labels, sorted, of every metric of ours in descriptions.
func labelsOf(t *testing.T, descriptions []*prometheus.Desc) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, description := range descriptions {
		parts := descriptionForm.FindStringSubmatch(description.String())
		if parts == nil {
			if strings.Contains(description.String(), `"irene_`) {
				t.Fatalf("can't read %s", description)
			}
			continue
		}
		labels := []string{}
		if parts[2] != "" {
			labels = strings.Split(parts[2], ",")
		}
		slices.Sort(labels)
		found[parts[1]] = labels
	}
	return found
}

// drained are the descriptions that describe sends.
func drained(describe func(chan *prometheus.Desc)) []*prometheus.Desc {
	descriptions, all := make(chan *prometheus.Desc), make(chan []*prometheus.Desc)
	go func() {
		var found []*prometheus.Desc
		for description := range descriptions {
			found = append(found, description)
		}
		all <- found
	}()
	describe(descriptions)
	close(descriptions)
	return <-all
}

// serviceMetrics are those of "irene serve" with everything switched on.
func serviceMetrics(t *testing.T) map[string][]string {
	t.Helper()
	g := NewWithT(t)
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		g.Expect(os.WriteFile(path, []byte(content), 0o700)).To(Succeed())
		return path
	}
	config := DefaultConfiguration()
	config.Listen.Plaintext = true
	config.Kubernetes.Namespace = "apps"
	config.Kubernetes.KubeconfigFile = write("kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nclusters: [{name: a, cluster: {server: \"http://127.0.0.1:1\"}}]\nusers: [{name: a, user: {}}]\n")
	config.Registry.Address, config.Registry.PullAddress = "127.0.0.1:1", "127.0.0.1:1"
	// Any program will do that is linked statically; it is not started.
	program := write("program", "\x7fELF")
	config.Stacks.LaunchFile, config.Staging.ProgramFile = program, program
	config.Staging.ImageVolumes = On
	config.CloudController.URL = "https://127.0.0.1:1"
	config.NATS.Servers = []string{"nats://127.0.0.1:1"}
	logger, _ := newLog(t)

	descriptions := drained(func(descriptions chan *prometheus.Desc) {
		metrics := newMetricsRegistry()
		metrics.MustRegister(newCertificateExpiry(config))
		_, err := assemble(config, logger, metrics)
		g.Expect(err).NotTo(HaveOccurred())
		newRequestMetrics(metrics)
		metrics.Describe(descriptions)

		// The view's are there while it runs.
		clients, err := k8s.NewClients(config.Kubernetes.KubeconfigFile, 1, prometheus.NewRegistry())
		g.Expect(err).NotTo(HaveOccurred())
		ended, end := context.WithCancel(t.Context())
		end()
		g.Expect(newView(config, clients, logger, described{descriptions: descriptions}).Run(ended)).To(Succeed())
	})
	return labelsOf(t, descriptions)
}

// registryMetrics are those of "irene registry serve".
func registryMetrics(t *testing.T) map[string][]string {
	t.Helper()
	logger, _ := newLog(t)
	return labelsOf(t, drained(func(descriptions chan *prometheus.Desc) {
		opened, err := registry.New(registry.Options{
			Directory: t.TempDir(), Anonymous: true, MinAge: time.Hour, UploadIdle: time.Hour,
			Logger: logger, Registerer: described{descriptions: descriptions},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	}))
}

// documentedMetrics are the labels, sorted, by metric in a section of the page.
func documentedMetrics(t *testing.T, section string) map[string][]string {
	t.Helper()
	g := NewWithT(t)
	content, err := os.ReadFile(metricsPage)
	g.Expect(err).NotTo(HaveOccurred())
	_, text, found := strings.Cut(string(content), "\n# "+section+"\n")
	g.Expect(found).To(BeTrue(), section)
	text, _, _ = strings.Cut(text, "\n# ")
	metrics := map[string][]string{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| `irene_") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		g.Expect(cells).To(HaveLen(4), line)
		name, kind := strings.Trim(cells[0], " `"), strings.TrimSpace(cells[1])
		g.Expect(metrics).NotTo(HaveKey(name), "described twice")
		g.Expect(kind).To(MatchRegexp("^(counter|gauge|histogram)$"), name)
		g.Expect(strings.HasSuffix(name, "_total")).To(Equal(kind == "counter"), name)
		g.Expect(strings.TrimSpace(cells[3])).NotTo(BeEmpty(), name)
		labels := []string{}
		if text := strings.TrimSpace(cells[2]); text != "–" {
			for label := range strings.SplitSeq(text, ",") {
				labels = append(labels, strings.Trim(label, " `"))
			}
		}
		slices.Sort(labels)
		metrics[name] = labels
	}
	return metrics
}

// lines are metrics with their labels, as short texts.
func lines(metrics map[string][]string) []string {
	all := make([]string, 0, len(metrics))
	for name, labels := range metrics {
		all = append(all, name+"{"+strings.Join(labels, ",")+"}")
	}
	return all
}

func TestMetricsPageHasEveryMetricWithItsLabels(t *testing.T) {
	for section, registered := range map[string]func(*testing.T) map[string][]string{"The service": serviceMetrics, "The registry": registryMetrics} {
		t.Run(section, func(t *testing.T) {
			NewWithT(t).Expect(lines(documentedMetrics(t, section))).To(ConsistOf(lines(registered(t))))
		})
	}
}

// rule is an alert.
type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []rule {
	t.Helper()
	content, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	if err := yaml.UnmarshalStrict(content, &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// usedMetric finds metrics of ours in an expression.
var usedMetric = regexp.MustCompile(`\birene_\w+`)

func TestAlertsUseMetricsThatExistAndHaveARunbook(t *testing.T) {
	g := NewWithT(t)
	runbook, err := os.ReadFile(operatePage)
	g.Expect(err).NotTo(HaveOccurred())
	known := registryMetrics(t)
	for name, labels := range serviceMetrics(t) {
		known[name] = append(labels, known[name]...)
	}
	named := map[string]bool{}
	for _, one := range alerts(t) {
		g.Expect(one.Alert).To(MatchRegexp(`^Irene[A-Za-z]+$`))
		g.Expect(named).NotTo(HaveKey(one.Alert), "twice")
		named[one.Alert] = true
		used := usedMetric.FindAllString(one.Expr, -1)
		g.Expect(used).NotTo(BeEmpty(), one.Alert)
		for _, name := range used {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, suffix)
			}
			g.Expect(known).To(HaveKey(name), one.Alert)
		}
		_, err := time.ParseDuration(one.For)
		g.Expect(err).NotTo(HaveOccurred(), one.Alert)
		g.Expect(one.Labels["severity"]).To(BeElementOf("critical", "warning"), one.Alert)
		g.Expect(one.Annotations).To(And(HaveKey("summary"), HaveKey("runbook")), one.Alert)
		g.Expect(one.Annotations["runbook"]).To(Equal("docs/operate.md#"+strings.ToLower(one.Alert)), one.Alert)

		_, section, found := strings.Cut(string(runbook), "\n### "+one.Alert+"\n")
		g.Expect(found).To(BeTrue(), "%s has no section in %s", one.Alert, operatePage)
		section, _, _ = strings.Cut(section, "\n#")
		for _, part := range []string{"**Users notice:**", "**Look:**", "**Mend:**"} {
			g.Expect(section).To(ContainSubstring(part), one.Alert)
		}
	}
	for _, found := range regexp.MustCompile(`(?m)^### (Irene\w+)$`).FindAllStringSubmatch(string(runbook), -1) {
		g.Expect(named).To(HaveKey(found[1]), "a section without an alert")
	}
}

// Routers forget an app 120 s after the last registration. Scrapes and evaluations take
// up to a minute of that.
func TestAlertsOnLostRoutesFireBeforeRoutersForget(t *testing.T) {
	g := NewWithT(t)
	urgent := []string{"IreneDown", "IreneNATSAway", "IreneNothingRegisters"}
	for _, one := range alerts(t) {
		if !slices.Contains(urgent, one.Alert) {
			continue
		}
		wait, err := time.ParseDuration(one.For)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(wait).To(BeNumerically("<=", 30*time.Second), one.Alert)
		g.Expect(one.Labels["severity"]).To(Equal("critical"), one.Alert)
		urgent = slices.DeleteFunc(urgent, func(name string) bool { return name == one.Alert })
	}
	g.Expect(urgent).To(BeEmpty())
}
