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
	app := (&cloud{state: ran}).appURL()
	answers := func() { g.Expect(shell("curl -sf " + app)).To(HavePrefix("Hello from " + sampleAppName)) }
	pasted := paste(t, guideOf(first))
	for _, index := range []string{"0", "1", "2"} {
		hello := "Hello from " + sampleAppName + ", instance " + index + " "
		g.Expect(strings.Count(pasted, hello)).To(BeNumerically(">=", 3), "once asked for, and twice in six turns")
	}
	g.Expect(pasted).To(ContainSubstring(`"` + sampleRoute + `": [`))
	g.Expect(pasted).To(ContainSubstring("exiting with status 7"))
	g.Expect(pasted).To(ContainSubstring(`"application/vnd.oci.image.manifest.v1+json"`))
	g.Expect(pasted).To(MatchRegexp(`(?m)^teststack +[0-9a-f]{12} +current, default +1 +sample-app +sha256:`))
	g.Expect(strings.Count(pasted, "method=GET path=/")).To(Equal(1), "the droplet is fetched once")
	g.Expect(pasted).To(ContainSubstring(`irene_droplet_fetches_total{outcome="fetched"} 1`))
	g.Eventually(func() (string, error) { return shell("curl -si " + app) }).WithTimeout(patience).
		Should(And(HavePrefix("HTTP/1.1 404"), ContainSubstring("X-Cf-Routererror: unknown_route")), "it was stopped")

	moved := registryBytes(g, ran)
	status, second := run(up...)
	g.Expect(status).To(Equal(0))
	g.Expect(stateOf(g, dir)).To(Equal(ran), "what runs is used")
	after := registryBytes(g, ran)
	g.Expect(after.received).To(Equal(moved.received), "nothing is pushed a second time")
	g.Expect(after.sent-moved.sent).To(BeNumerically("<", 1000), "nothing is pulled a second time; answers without content have a few bytes")
	g.Expect(guideOf(second)).To(Equal(guideOf(first)))
	answers()

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
	g.Expect(syscall.Kill(ran.Blobstore.PID, syscall.SIGKILL)).To(Succeed())
	answers()
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	stored := stateOf(g, dir)
	g.Expect(stored.Irene).To(Equal(again.Irene))
	g.Expect(stored.Registry).NotTo(Equal(ran.Registry))
	g.Expect(stored.Blobstore).NotTo(Equal(ran.Blobstore))
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
	for _, ended := range []process{last.Edge, last.Registry, last.Blobstore} {
		g.Expect(ended.alive()).To(BeFalse())
	}
	for _, address := range []string{last.API, last.Observe, last.NATS, last.Router, last.Status, last.RegistryObserve, last.BlobstoreAddress} {
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
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

// guideOf is what "up" prints after its steps.
func guideOf(output string) string {
	return output[strings.Index(output, "\n\n"):]
}
