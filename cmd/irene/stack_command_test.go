package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// During a rotation the former password stands below the present one.
func TestCredentialsAreTheFirstLines(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	username, password := filepath.Join(folder, "username"), filepath.Join(folder, "password")
	g.Expect(os.WriteFile(username, []byte("nodes\n"), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(password, []byte("new\nold\n"), 0o600)).To(Succeed())
	g.Expect(readCredentials(username, password)).To(Equal(&opi.RegistryCredentials{Username: "nodes", Password: "new"}))
	g.Expect(readCredentials("", "")).To(BeNil())
}

func TestStackCommandLine(t *testing.T) {
	folder := t.TempDir()
	noRegistry, config := filepath.Join(folder, "no-registry.yml"), filepath.Join(folder, "irene.yml")
	NewWithT(t).Expect(os.WriteFile(noRegistry, []byte(required), 0o600)).To(Succeed())
	NewWithT(t).Expect(os.WriteFile(config, []byte(strings.Replace(required, "registry: {", `registry: {address: "127.0.0.1:1", `, 1)), 0o600)).To(Succeed())
	for name, example := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"nothing":               {nil, exitUsage, "", "irene stack roll --config FILE --stack NAME"},
		"help":                  {[]string{"help"}, 0, "irene stack import --config FILE NAME SOURCE", ""},
		"another command":       {[]string{"push"}, exitUsage, "", `unknown command "push"`},
		"help of one":           {[]string{"roll", "--help"}, 0, "", "-patience TIME"},
		"no configuration":      {[]string{"list"}, exitUsage, "", "irene stack list: usage: --config FILE is required"},
		"no such configuration": {[]string{"list", "--config", "/nowhere"}, exitFailed, "", "/nowhere: no such file"},
		"another flag":          {[]string{"list", "--stack", "x"}, exitUsage, "", "flag provided but not defined: -stack"},
		"no registry":           {[]string{"list", "--config", noRegistry}, exitFailed, "", "registry.address is not configured"},
		"another form":          {[]string{"list", "--config", config, "-o", "xml"}, exitUsage, "", `-o "xml" is neither table nor json`},
		"no stack":              {[]string{"roll", "--config", config}, exitUsage, "", "--stack NAME is required"},
		"no apps at a time":     {[]string{"roll", "--config", config, "--stack", "cflinuxfs4", "--parallel", "0"}, exitUsage, "", "--parallel must be at least 1"},
		"no such credentials":   {[]string{"import", "--config", config, "--source-username-file", "/nowhere", "cflinuxfs4", "x"}, exitFailed, "", "read the credentials: user name: open /nowhere"},
		"no source":             {[]string{"import", "--config", config, "cflinuxfs4"}, exitUsage, "", "2 arguments besides the flags are wanted, not 1"},
		"flags at the end":      {[]string{"import", "cflinuxfs4", "rootfs.tar", "--config", config}, exitUsage, "", "--config FILE is required"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var stdout, stderr bytes.Buffer
			g.Expect(stackCommand(t.Context(), example.args, &stdout, &stderr)).To(Equal(example.status), stderr.String())
			g.Expect(stdout.String()).To(ContainSubstring(example.stdout))
			g.Expect(stderr.String()).To(ContainSubstring(example.stderr))
		})
	}
}

func TestShortenedNamesOfApps(t *testing.T) {
	g := NewWithT(t)
	g.Expect(shortened(nil)).To(Equal("-"))
	g.Expect(shortened([]string{"a", "b", "c"})).To(Equal("a, b, c"))
	g.Expect(shortened([]string{"a", "b", "c", "d"})).To(Equal("a, b, c, …"))
}
