//go:build chart

package helm_test

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// helm runs it and returns what it printed.
func helm(args ...string) (printed, complaints string, err error) {
	path, err := filepath.Abs(filepath.Join(binaries, "helm"))
	if err != nil {
		return "", "", err
	}
	command := exec.Command(path, args...)
	// Nothing of the user's own settings.
	command.Env = append(os.Environ(), "HELM_CONFIG_HOME=/nonexistent", "HELM_DATA_HOME=/nonexistent", "KUBECONFIG=/nonexistent")
	var out, bad bytes.Buffer
	command.Stdout, command.Stderr = &out, &bad
	err = command.Run()
	return out.String(), bad.String(), err
}

func values(name string) string { return "testdata/" + name + ".values.yaml" }

func template(args ...string) (printed, complaints string, err error) {
	return helm(append([]string{"template", "irene", chart, "--namespace", "irene"}, args...)...)
}

func TestRendersAsRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values files: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".values.yaml")
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			printed, complaints, err := helm("lint", "--strict", chart, "--values", file)
			g.Expect(err).NotTo(HaveOccurred(), printed+complaints)
			printed, complaints, err = template("--values", file)
			g.Expect(err).NotTo(HaveOccurred(), complaints)
			compareGolden(g, "testdata/"+name+".golden.yaml", printed)
		})
	}
}

// compareGolden compares what was printed with a golden file, or writes the file.
func compareGolden(g *WithT, golden, printed string) {
	if *update {
		g.Expect(os.WriteFile(golden, []byte(printed), 0o644)).To(Succeed())
		return
	}
	recorded, err := os.ReadFile(golden)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(printed).To(Equal(string(recorded)), "if it is meant to be so: make chart-golden")
}

func TestRefusesWhatCantWork(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no image", []string{"--set", "image.repository="}, "image.repository"},
		{"no registry", []string{"--set", "config.registry.pull_address="}, "config.registry.pull_address"},
		{"nobody who signs clients' certificates", []string{"--set", "tls.clientCA=null"}, "set tls.clientCA to {secret: irene-tls, key: ca.crt}"},
		{"a BBS API without authorities of its clients", []string{"--set", "bbs.enabled=true,bbs.clientNames={cloud-controller}"}, "bbs.tls.clientCA: name the Secret or ConfigMap"},
		{"a BBS API without names of its clients", []string{"--set", "bbs.enabled=true,bbs.tls.clientCA.secret=cloud-controller-ca,bbs.tls.clientCA.key=ca.crt"}, "bbs.clientNames"},
		{"two doors on one port", []string{"--set", "bbs.enabled=true,bbs.port=8085,bbs.clientNames={cloud-controller},bbs.tls.clientCA.secret=cloud-controller-ca,bbs.tls.clientCA.key=ca.crt"}, "bbs.port: 8085 is service.port, too"},
		{"an alias with ports in another namespace", []string{"--set-json", `service.aliases=[{"name":"eirini-opi","namespace":"kubecf","opiPort":8484}]`}, "service.aliases: eirini-opi in namespace kubecf has ports of its own"},
		{"an alias with a port of the BBS API that is off", []string{"--set-json", `service.aliases=[{"name":"bbs","bbsPort":8889}]`}, "service.aliases: bbs in namespace irene has a bbsPort although bbs.enabled is false"},
		{"an alias of the release's own name", []string{"--set-json", `service.aliases=[{"name":"irene"}]`}, "service.aliases: irene in namespace irene is there already"},
		{"an alias that no Service can have", []string{"--set-json", `service.aliases=[{"name":"eirini.service.cf.internal"}]`}, "aliases"},
		{"a node port without one", []string{"--set", "service.nodePorts.opi=30085"}, "service.nodePorts: service.type is ClusterIP"},
		{"a node port of the BBS API that is off", []string{"--set", "service.type=NodePort,service.nodePorts.bbs=30889"}, "service.nodePorts.bbs: bbs.enabled is false"},
		{"a node port of the registry", []string{"--set", "service.type=NodePort,service.nodePorts.opi=32123,embeddedRegistry.enabled=true"}, "embeddedRegistry.service.nodePort: 32123 is service.nodePorts.opi, too"},
		{"callers' addresses in the cluster", []string{"--set", "service.externalTrafficPolicy=Local"}, "service.externalTrafficPolicy: service.type is ClusterIP"},
		{"a load balancer's networks without one", []string{"--set", "service.type=NodePort,service.loadBalancerSourceRanges={192.0.2.0/24}"}, "service.loadBalancerSourceRanges: service.type is NodePort"},
		{"keys of a Secret that cert-manager makes", []string{"--set", "tls.secretKeys.certificate=certificate,tls.certManager.enabled=true,tls.certManager.issuerRef.name=i"}, "tls.secretKeys: cert-manager writes tls.crt"},
		{"a key that no Secret can have", []string{"--set", "tls.secretKeys.certificate=a/b"}, "certificate"},
		{"no name server at all", []string{"--set", "dnsPolicy=None"}, "dnsConfig.nameservers: is required"},
		{"a policy that there is not", []string{"--set", "dnsPolicy=Host"}, "dnsPolicy"},
		{"a host name for an address", []string{"--set-json", `hostAliases=[{"ip":"bosh-dns","hostnames":["uaa.service.cf.internal"]}]`}, "hostAliases"},
		{"an address in two entries", []string{"--set-json", `hostAliases=[{"ip":"192.0.2.1","hostnames":["a"]},{"ip":"192.0.2.1","hostnames":["b"]}]`}, "hostAliases: 192.0.2.1 stands in two entries"},
		{"an address without names", []string{"--set-json", `hostAliases=[{"ip":"192.0.2.1","hostnames":[]}]`}, "hostnames"},
		{"settings of the BBS API in the configuration", []string{"--set", "config.bbs.adopt_opi=true"}, "adopt_opi"},
		{"a registry that nodes don't reach", []string{"--set", "config.registry.pull_address=,embeddedRegistry.enabled=true,embeddedRegistry.service.type=ClusterIP", "--set-json", `networkPolicy.irene.registry=[{"ipBlock":{"cidr":"192.0.2.0/24"}}]`}, "config.registry.pull_address"},
		{"nobody may connect to apps", []string{"--set-json", "networkPolicy.from=[]"}, "networkPolicy.from"},
		{"nobody may call the API", []string{"--set-json", "networkPolicy.irene.api=[]"}, "networkPolicy.irene.api"},
		{"nodes may not pull", []string{"--set", "embeddedRegistry.enabled=true"}, "networkPolicy.irene.registry"},
		{"a value that there is not", []string{"--set", "replica=3"}, "replica"},
		{"a key that the configuration lacks", []string{"--set", "config.log.levle=info"}, "levle"},
		{"a value of the wrong kind", []string{"--set", "config.kubernetes.max_parallel_calls=many"}, "max_parallel_calls"},
		{"a key that is the chart's", []string{"--set", "config.kubernetes.namespace=other"}, "namespace"},
		{"a password in the configuration", []string{"--set", "config.nats.password_file=/tmp/x"}, "password_file"},
		{"a file that the configuration lacks", []string{"--set-json", `files={"nats.token_file":{"secret":"a","key":"b"}}`}, "nats.token_file"},
		{"a file from two places", []string{"--set-json", `files={"nats.ca_file":{"secret":"a","configMap":"c","key":"b"}}`}, "ca_file"},
		{"a digest that is none", []string{"--set", "image.digest=sha256:1"}, "digest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := NewWithT(t)
			_, complaints, err := template(append([]string{"--values", values("minimal")}, tt.args...)...)
			g.Expect(err).To(HaveOccurred())
			g.Expect(complaints).To(ContainSubstring(tt.want))
		})
	}
}

func TestPackageHasWhatTemplatesRead(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	printed, complaints, err := helm("package", chart, "--destination", folder)
	g.Expect(err).NotTo(HaveOccurred(), printed+complaints)
	packages, err := filepath.Glob(filepath.Join(folder, "irene-*.tgz"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(packages).To(HaveLen(1))
	packed, complaints, err := helm("template", "irene", packages[0], "--namespace", "irene", "--values", values("complete"))
	g.Expect(err).NotTo(HaveOccurred(), complaints)
	loose, _, err := template("--values", values("complete"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(packed).To(Equal(loose))
}

// The rules change more often than the chart, so they are not in golden files.
func TestAlertsAreThoseOfTheRulesFolder(t *testing.T) {
	g := NewWithT(t)
	printed, complaints, err := template("--values", values("minimal"), "--set", "prometheusRule.enabled=true", "--show-only", "templates/monitoring.yaml")
	g.Expect(err).NotTo(HaveOccurred(), complaints)
	type groups struct {
		Groups []any
	}
	var rendered struct {
		Kind string
		Spec groups
	}
	g.Expect(yaml.Unmarshal([]byte(printed), &rendered)).To(Succeed())
	g.Expect(rendered.Kind).To(Equal("PrometheusRule"))
	files, err := filepath.Glob(chart + "/rules/*.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	written := []any{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		var one groups
		g.Expect(yaml.Unmarshal(content, &one)).To(Succeed())
		g.Expect(one.Groups).NotTo(BeEmpty(), file)
		written = append(written, one.Groups...)
	}
	g.Expect(rendered.Spec.Groups).To(Equal(written))
}
