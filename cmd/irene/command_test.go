package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
)

// actAsIrene makes the test's own binary behave as irene.
const actAsIrene = "IRENE_TEST_ACT_AS_IRENE"

func TestMain(m *testing.M) {
	if os.Getenv(actAsIrene) != "" {
		main()
	}
	os.Exit(m.Run())
}

// irene is a process of its own.
func irene(t *testing.T, args ...string) (process *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	process = exec.CommandContext(t.Context(), self, args...)
	process.Env = append(os.Environ(), actAsIrene+"=1")
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	process.Stdout, process.Stderr = stdout, stderr
	return process, stdout, stderr
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return -1
	}
}

func TestCommandLine(t *testing.T) {
	folder := t.TempDir()
	config := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unknown := config("unknown.yml", required+"\nlisten_address: x\n")
	noFiles := config("no-files.yml", strings.ReplaceAll(required, "certificate_file: c", "certificate_file: /nowhere/c"))

	for name, example := range map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"help":                     {[]string{"help"}, 0, "irene serve --config FILE", ""},
		"version":                  {[]string{"version"}, 0, "irene ", ""},
		"nothing":                  {nil, 2, "", "Usage:"},
		"an unknown command":       {[]string{"sing"}, 2, "", `unknown command "sing"`},
		"serve without a file":     {[]string{"serve"}, 2, "", "--config FILE is required"},
		"serve with too much":      {[]string{"serve", "--config", "x", "y"}, 2, "", `unexpected argument "y"`},
		"serve, unknown flag":      {[]string{"serve", "--port", "1"}, 2, "", "-port"},
		"registry help":            {[]string{"registry", "help"}, 0, "irene registry serve --config FILE", ""},
		"registry, nothing more":   {[]string{"registry"}, 2, "", "Usage:"},
		"registry, unknown":        {[]string{"registry", "sing"}, 2, "", `irene registry: unknown command "sing"`},
		"registry without a file":  {[]string{"registry", "serve"}, 2, "", "irene registry serve: --config FILE is required"},
		"registry with too much":   {[]string{"registry", "serve", "--config", "x", "y"}, 2, "", `irene registry serve: unexpected argument "y"`},
		"registry, missing file":   {[]string{"registry", "serve", "--config", folder + "/none.yml"}, 1, "", "irene: read the configuration: open " + folder + "/none.yml: no such file or directory\n"},
		"registry, service's file": {[]string{"registry", "serve", "--config", unknown}, 1, "", "irene: configuration " + unknown + ":\n  kubernetes: unknown key\n"},
		"uninstall from nowhere":   {[]string{"uninstall"}, 2, "", "irene uninstall: --namespace NAMESPACE is required"},
		"uninstall, half a lease":  {[]string{"uninstall", "--namespace", "a", "--lease", "b"}, 2, "", `--lease: "b" is not NAMESPACE/NAME`},
		"uninstall with too much":  {[]string{"uninstall", "--namespace", "a", "b"}, 2, "", `irene uninstall: unexpected argument "b"`},
		"uninstall, no kubeconfig": {[]string{"uninstall", "--namespace", "a", "--kubeconfig", folder + "/none"}, 1, "", folder + "/none: no such file"},
		"a missing file":           {[]string{"serve", "--config", folder + "/none.yml"}, 1, "", "irene: read the configuration: open " + folder + "/none.yml: no such file or directory\n"},
		"an unknown key":           {[]string{"serve", "--config", unknown}, 1, "", "irene: configuration " + unknown + ":\n  listen_address: unknown key\n"},
		"missing certificate file": {[]string{"serve", "--config", noFiles}, 1, "", "irene: certificates:\n  listen.tls.certificate_file: open /nowhere/c: no such file or directory\n"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			process, stdout, stderr := irene(t, example.args...)
			g.Expect(exitStatus(process.Run())).To(Equal(example.status))
			g.Expect(stdout.String()).To(ContainSubstring(example.stdout))
			g.Expect(stderr.String()).To(ContainSubstring(example.stderr))
		})
	}
}

func TestAProcessLivesWithoutItsAPIServerAndEndsOnSIGTERM(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	free := func() string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		g.Expect(err).NotTo(HaveOccurred())
		defer listener.Close()
		return listener.Addr().String()
	}
	api, observe, nobody := free(), free(), free()
	kubeconfig := filepath.Join(folder, "kubeconfig")
	g.Expect(os.WriteFile(kubeconfig, fmt.Appendf(nil, `
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://%s"}}]
users: [{name: u, user: {token: t}}]
`, nobody), 0o600)).To(Succeed())
	config := filepath.Join(folder, "irene.yml")
	g.Expect(os.WriteFile(config, fmt.Appendf(nil, `
listen: {address: "%s", plaintext: true}
observe: {address: "%s"}
shutdown: {delay: 0s}
kubernetes: {namespace: apps, kubeconfig_file: "%s"}
registry: {pull_address: registry}
`, api, observe, kubeconfig), 0o600)).To(Succeed())

	process, stdout, stderr := irene(t, "serve", "--config", config)
	g.Expect(process.Start()).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- process.Wait() }()

	status := func(path string) int {
		code, _, err := get(http.DefaultClient, "http://"+observe+path)
		if err != nil {
			return 0
		}
		return code
	}
	g.Eventually(func() int { return status("/healthz") }, "20s").Should(Equal(200))
	g.Expect(status("/readyz")).To(Equal(503))
	g.Expect(ended).NotTo(Receive())
	g.Expect(process.Process.Signal(syscall.SIGTERM)).To(Succeed())
	var outcome error
	g.Eventually(ended, "20s").Should(Receive(&outcome))
	g.Expect(exitStatus(outcome)).To(Equal(0), stderr.String())
	g.Expect(stderr.String()).To(BeEmpty(), "logs go to standard output")
	g.Expect(stdout.String()).To(ContainSubstring(`"message":"irene.stopped"`))
}
