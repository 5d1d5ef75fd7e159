package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestOperatorCommandLines(t *testing.T) {
	folder := t.TempDir()
	config := filepath.Join(folder, "irene.yml")
	content := strings.Replace(required, "kubernetes: {namespace: apps}", "kubernetes: {kubeconfig_file: /nowhere/kubeconfig, namespace: apps}", 1)
	NewWithT(t).Expect(os.WriteFile(config, []byte(content), 0o600)).To(Succeed())
	list := filepath.Join(folder, "list")
	NewWithT(t).Expect(os.WriteFile(list, []byte("guid,version\n"), 0o600)).To(Succeed())
	for name, example := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"no configuration":       {[]string{"lrps"}, exitUsage, "", "irene lrps: usage: --config FILE is required"},
		"help of one":            {[]string{"routes", "--help"}, 0, "", "-o FORM"},
		"too many apps":          {[]string{"lrps", "--config", config, "one", "two"}, exitUsage, "", "0 to 1 arguments besides the flags are wanted, not 2"},
		"another form":           {[]string{"routes", "--config", config, "-o", "xml"}, exitUsage, "", `-o "xml" is neither table nor json`},
		"another form of config": {[]string{"config", "--config", config, "-o", "table"}, exitUsage, "", `-o "table" is neither yaml nor json`},
		"no such configuration":  {[]string{"config", "--config", "/nowhere"}, exitFailed, "", "/nowhere: no such file"},
		"no API server":          {[]string{"lrps", "--config", config}, exitFailed, "", "/nowhere/kubeconfig"},
		"no list":                {[]string{"diff", "--config", config}, exitUsage, "", "1 arguments besides the flags are wanted, not 0"},
		"no such list":           {[]string{"diff", "--config", config, "/nowhere/list"}, exitFailed, "", "read Cloud Controller's list: open /nowhere/list"},
		"no list in it":          {[]string{"diff", "--config", config, list}, exitFailed, "", "read Cloud Controller's list from " + list},
		"a sick configuration":   {[]string{"doctor", "--config", list}, exitFailed, "FAILED", ""},
		"a sick cluster":         {[]string{"doctor", "--config", config}, exitFailed, "=> correct kubernetes.kubeconfig_file", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var stdout, stderr bytes.Buffer
			g.Expect(command(t.Context(), example.args, &stdout, &stderr)).To(Equal(example.status), stdout.String()+stderr.String())
			g.Expect(stdout.String()).To(ContainSubstring(example.stdout))
			g.Expect(stderr.String()).To(ContainSubstring(example.stderr))
		})
	}
}

func TestShownConfigurationIsReadAgainAndHasNoSecrets(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "irene.yml")
	shown := func(content string, args ...string) string {
		g.Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
		var stdout, stderr bytes.Buffer
		g.Expect(command(t.Context(), append([]string{"config", "--config", path}, args...), &stdout, &stderr)).To(BeZero(), stderr.String())
		return stdout.String()
	}
	content := required + "droplets: {source: {url: \"https://store.example/{droplet_guid}\"}}\napps: {user_namespaces: on}\nnats: {servers: [\"nats://a:4222\"]}\n"
	config, err := parseConfiguration([]byte(content))
	g.Expect(err).NotTo(HaveOccurred())
	for _, form := range []string{"yaml", "json"} {
		again, err := parseConfiguration([]byte(shown(content, "-o", form)))
		g.Expect(err).NotTo(HaveOccurred())
		again.NATS.Servers, config.NATS.Servers = append([]string{}, again.NATS.Servers...), append([]string{}, config.NATS.Servers...)
		g.Expect(again).To(Equal(config), form)
	}
	g.Expect(shown(content)).To(And(HavePrefix("listen:\n  address: \":8085\"\n"), ContainSubstring("  write_timeout: \"2m0s\"\n")))

	content = strings.Replace(content, "{droplet_guid}", "{droplet_guid}?signature=hunter2", 1)
	for _, form := range []string{"yaml", "json"} {
		g.Expect(shown(content, "-o", form)).To(And(ContainSubstring("?signature=hidden"), Not(ContainSubstring("hunter2"))))
	}
}

func TestSpansAsPeopleReadThem(t *testing.T) {
	g := NewWithT(t)
	now := time.Now()
	for span, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m", 90 * time.Minute: "1h30m", 49*time.Hour + time.Minute: "2d1h",
	} {
		g.Expect(since(now.Add(-span), now)).To(Equal(want))
	}
	g.Expect(since(time.Time{}, now)).To(Equal("-"))
}
