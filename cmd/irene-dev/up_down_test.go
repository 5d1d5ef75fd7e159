//go:build node

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/devcluster"
)

// TestUpTwiceAndDown brings the real thing up, as "make run" does, and needs the node
// of this machine for itself. IRENE_DEV_ROOTFS may name a root file system, which
// else is made first.
func TestUpTwiceAndDown(t *testing.T) {
	g := NewWithT(t)
	bin, err := devcluster.FindBin("")
	g.Expect(err).NotTo(HaveOccurred())
	parent, err := os.MkdirTemp("", "dev") // short: sockets' paths are bounded
	g.Expect(err).NotTo(HaveOccurred())
	dir := filepath.Join(parent, "irene")
	run := func(arguments ...string) (int, string) {
		var out bytes.Buffer
		status := command(context.Background(), append(arguments, "--dir", dir, "--bin", bin), &out, &out)
		t.Log(out.String())
		return status, out.String()
	}
	up := []string{"up"}
	if rootfs := os.Getenv("IRENE_DEV_ROOTFS"); rootfs != "" {
		up = append(up, "--rootfs", rootfs)
	}
	t.Cleanup(func() {
		if status, _ := run("down"); status != 0 {
			t.Errorf("down failed; left in %s", dir)
			return
		}
		g.Expect(os.RemoveAll(parent)).To(Succeed())
	})

	status, first := run(up...)
	g.Expect(status).To(Equal(0))
	ran := stateOf(g, dir)
	app := (&cloud{state: ran}).url(sampleRoute)
	answers := func() { g.Expect(shell("curl -sf " + app)).To(HavePrefix("Hello from " + sampleAppName)) }
	g.Expect(strings.Count(summaryOf(first), "\n")).To(BeNumerically("<=", 12), "what matters fits on a small screen")
	status, guide := run("guide")
	g.Expect(status).To(Equal(0))
	pasted := paste(t, guide)
	for _, index := range []string{"0", "1", "2"} {
		hello := "Hello from " + sampleAppName + ", instance " + index + " "
		g.Expect(strings.Count(pasted, hello)).To(BeNumerically(">=", 3), "once asked for, and twice in six turns")
	}
	g.Expect(pasted).To(ContainSubstring(`"` + sampleRoute + `": [`))
	g.Expect(pasted).To(ContainSubstring("exiting with status 7"))
	g.Expect(pasted).To(ContainSubstring(`"application/vnd.oci.image.manifest.v1+json"`))
	g.Expect(pasted).To(MatchRegexp(`(?m)^teststack +[0-9a-f]{12} +current, default +3 +hello, my-site, sample-app +sha256:`))
	g.Expect(strings.Count(pasted, "method=GET path=/")).To(Equal(1), "the droplet is fetched once")
	g.Expect(pasted).To(ContainSubstring(`irene_droplet_fetches_total{outcome="fetched"} 1`))
	g.Eventually(func() (string, error) { return shell("curl -si " + app) }).WithTimeout(patience).
		Should(And(HavePrefix("HTTP/1.1 404"), ContainSubstring("X-Cf-Routererror: unknown_route")), "it was stopped")

	g.Expect(first).To(MatchRegexp(`(?s)build \| -----> Static buildpack .* build 1 of this app\n.*push  \| Uploaded droplet .*\nhello answers at http://hello\.localhost:\d+ after `))
	g.Expect(shell("curl -sf " + (&cloud{state: ran}).url("hello.localhost"))).To(ContainSubstring("Hello from source"))
	g.Expect(pasted).To(And(ContainSubstring("<h1>My site</h1>"), ContainSubstring("deleted "+siteName)))
	g.Expect(pasted).To(And(MatchRegexp(`(?m)^hello +web +bbs +1 of 1 +http://hello\.localhost`), MatchRegexp(`(?m)^sample-app +web +opi +1 of 1 `)))
	g.Expect(pasted).To(ContainSubstring("my-site is scaled to 2 by the BBS door"))
	g.Expect(pasted).To(MatchRegexp(`msg=crashed process=` + sampleGUID + `\S* status=200`))
	pushTwiceAndFail(t, ran, run)

	moved := registryBytes(g, ran)
	status, second := run(up...)
	g.Expect(status).To(Equal(0))
	g.Expect(stateOf(g, dir)).To(Equal(ran), "what runs is used")
	after := registryBytes(g, ran)
	g.Expect(after.received).To(Equal(moved.received), "nothing is pushed a second time")
	g.Expect(after.sent-moved.sent).To(BeNumerically("<", 1000), "nothing is pulled a second time; answers without content have a few bytes")
	g.Expect(summaryOf(second)).To(Equal(summaryOf(first)))
	answers()
	openShell(t, guide)

	g.Expect(syscall.Kill(ran.Irene.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	again := stateOf(g, dir)
	g.Expect(again.Cluster).To(Equal(ran.Cluster))
	g.Expect(again.Edge).To(Equal(ran.Edge))
	g.Expect(again.Irene).NotTo(Equal(ran.Irene))

	g.Expect(syscall.Kill(ran.Edge.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	routed := stateOf(g, dir)
	g.Expect(routed.Irene).To(Equal(again.Irene))
	g.Expect(routed.Edge).NotTo(Equal(ran.Edge))
	answers()

	g.Expect(syscall.Kill(ran.Registry.PID, syscall.SIGKILL)).To(Succeed())
	g.Expect(syscall.Kill(ran.CloudController.PID, syscall.SIGKILL)).To(Succeed())
	answers()
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	stored := stateOf(g, dir)
	g.Expect(stored.Irene).To(Equal(again.Irene))
	g.Expect(stored.Registry).NotTo(Equal(ran.Registry))
	g.Expect(stored.CloudController).NotTo(Equal(ran.CloudController))
	g.Expect(stored.RegistryAddress).To(Equal(ran.RegistryAddress))
	g.Expect(registryBytes(g, stored).received).To(BeZero(), "all that was pushed is still there")
	answers()

	g.Expect(syscall.Kill(again.Cluster.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	last := stateOf(g, dir)
	g.Expect(last.Cluster).NotTo(Equal(again.Cluster))
	g.Expect(last.API).To(Equal(ran.API))
	g.Expect(last.Registry).To(Equal(stored.Registry), "it keeps its address while the bridge is made anew")
	answers()

	g.Expect(syscall.Kill(last.Registry.PID, syscall.SIGKILL)).To(Succeed())
	g.Expect(os.RemoveAll(filepath.Join(dir, registryContent))).To(Succeed())
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	last = stateOf(g, dir)
	answers()

	g.Expect(syscall.Kill(last.Irene.PID, syscall.SIGKILL)).To(Succeed())
	g.Expect(syscall.Kill(last.Cluster.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run("down")
	g.Expect(status).To(Equal(0))
	for _, ended := range []process{last.Edge, last.Registry, last.CloudController} {
		g.Expect(ended.alive()).To(BeFalse())
	}
	for _, address := range []string{last.API, last.BBS, last.Observe, last.NATS, last.Router, last.Status, last.RegistryObserve, last.ControlAddress} {
		g.Expect(freeAddress(address)).To(Equal(address), "nobody listens any more")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	g.Expect(err).NotTo(HaveOccurred())
	if os.Getenv("IRENE_DEV_ROOTFS") != "" {
		g.Expect(left).To(BeEmpty())
	} else {
		g.Expect(left).To(Equal([]string{filepath.Join(dir, cacheName)}))
	}
	status, out := run("down")
	g.Expect(status).To(Equal(0))
	g.Expect(out).To(ContainSubstring("Nothing to stop"))
}

// openShell looks at what people find who open a shell in an instance.
func openShell(t *testing.T, guide string) {
	t.Helper()
	g := NewWithT(t)
	kubectl := regexp.MustCompile(`export KUBECONFIG=.*`).FindString(guide) + "\nkubectl -n " + appsNamespace
	pod, err := shell(kubectl + " get pods -l cloudfoundry.org/source_type=APP -o jsonpath='{.items[0].metadata.name}'")
	g.Expect(err).NotTo(HaveOccurred())
	found, err := shell(kubectl + " exec " + pod + ` -- bash -ic 'echo "${PS1@P}"; ls -d /app/.'`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(And(HavePrefix("vcap@"+pod+":"), HaveSuffix("/app/.\n")))
}

// pushTwiceAndFail pushes a folder, then a changed one in its place, then one that no
// buildpack wants and one that crashes.
func pushTwiceAndFail(t *testing.T, ran state, run func(arguments ...string) (int, string)) {
	t.Helper()
	g := NewWithT(t)
	url := (&cloud{state: ran}).url("my-app.localhost")
	page := func(text string) { g.Expect(shell("curl -sf " + url)).To(Equal(text)) }
	status, out := run("push", lay(t, map[string]string{"index.html": "first"}), "--name", "my-app")
	g.Expect(status).To(Equal(0))
	g.Expect(out).To(And(ContainSubstring("stop the version before ... there was none"), ContainSubstring("fetch | Downloaded app package"), ContainSubstring("my-app answers at "+url+" after")))
	page("first")

	answers := poke(t, ran.Router, "my-app.localhost")
	second := lay(t, map[string]string{
		"pages/index.html": "second", "pages/env.txt": "none",
		"Procfile": "web: echo $COLOR > pages/env.txt; fileserver pages\nworker: sleep 1000\n",
	})
	status, out = run("push", "--name", "my-app", "--door", "opi", "--env", "COLOR=blue", "--buildpack", "toolbox", "--buildpack", "static", second)
	g.Expect(status).To(Equal(0))
	g.Expect(out).To(And(ContainSubstring("build 2 of this app"), ContainSubstring("Supplying tools"), ContainSubstring("stop the version before ... stopped; it had come by the BBS door, and now the app is the OPI door's")))
	page("second")
	status, out = run("apps")
	g.Expect(status).To(Equal(0))
	g.Expect(out).To(And(MatchRegexp(`my-app +web +opi +1 of 1`), MatchRegexp(`my-app +worker +opi +0 of 0`)))
	g.Expect(shell("curl -sf " + url + "/env.txt")).To(Equal("blue\n"))
	g.Expect(answers()).To(HaveEach(http.StatusOK), "the old version answers until the new one does")

	status, out = run("push", lay(t, map[string]string{"notes.txt": "nobody wants me"}), "--name", "my-app")
	g.Expect(status).To(Equal(exitFailed))
	g.Expect(out).To(ContainSubstring("irene-dev: stage: NoAppDetectedError: None of the buildpacks detected"))
	status, out = run("push", lay(t, map[string]string{"Procfile": "web: echo I give up; exit 3"}), "--name", "my-app")
	g.Expect(status).To(Equal(exitFailed))
	g.Expect(out).To(And(ContainSubstring("instance 0 is CRASHED"), ContainSubstring("I give up")))
	page("second")

	status, out = run("delete", "my-app")
	g.Expect(status).To(Equal(0))
	g.Expect(out).To(Equal("deleted my-app\n"))
	g.Eventually(func() (string, error) { return shell("curl -si " + url) }).WithTimeout(patience).Should(HavePrefix("HTTP/1.1 404"))
}

// poke asks for a page all the time, until the returned function is called, which
// returns the statuses.
func poke(t *testing.T, router, host string) (stop func() []int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	got := make(chan []int, 1)
	go func() {
		var statuses []int
		_ = poll(ctx, func() (bool, error) {
			status, _, err := callHost(ctx, http.MethodGet, "http://"+router+"/", host, nil)
			if ctx.Err() == nil {
				if err != nil {
					t.Logf("%s: %v", host, err)
				}
				statuses = append(statuses, status)
			}
			return false, nil
		})
		got <- statuses
	}()
	return func() []int {
		cancel()
		return <-got
	}
}

// paste runs all lines of a guide that are commands, in one shell, and returns what
// they say. Each of them must succeed.
func paste(t *testing.T, guide string) string {
	t.Helper()
	var commands []string
	for line := range strings.Lines(guide) {
		if strings.HasPrefix(line, "  ") {
			commands = append(commands, line)
		}
	}
	said, err := shell(strings.Join(commands, ""))
	t.Log(said)
	if err != nil {
		t.Fatalf("the guide's lines: %v", err)
	}
	return said
}

// shell runs commands, of which the first that fails is the last, and returns what
// they write to standard output.
func shell(commands string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euxo", "pipefail", "-c", commands)
	command.WaitDelay = time.Second
	var complaints bytes.Buffer
	command.Stderr = &complaints
	said, err := command.Output()
	if err != nil {
		return string(said), fmt.Errorf("%w\n%s", err, complaints.String())
	}
	return string(said), nil
}

func stateOf(g *WithT, dir string) state {
	s, err := (&folder{path: dir}).loadState()
	g.Expect(err).NotTo(HaveOccurred())
	return s
}

// traffic is what a registry took and gave since its start, in bytes of bodies.
type traffic struct{ received, sent float64 }

func registryBytes(g *WithT, s state) traffic {
	_, page, err := call(context.Background(), http.MethodGet, "http://"+s.RegistryObserve+"/metrics", nil)
	g.Expect(err).NotTo(HaveOccurred())
	families, err := parseMetrics(page)
	g.Expect(err).NotTo(HaveOccurred())
	value := func(name string) float64 {
		g.Expect(families).To(HaveKey(name))
		return families[name].GetMetric()[0].GetCounter().GetValue()
	}
	return traffic{value("irene_registry_received_bytes_total"), value("irene_registry_sent_bytes_total")}
}

// summaryOf returns what "up" prints after its steps.
func summaryOf(output string) string {
	return output[strings.Index(output, "\n\n"):]
}
