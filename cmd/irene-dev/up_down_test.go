//go:build node

package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

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
	address := regexp.MustCompile(`curl (http://\S+)/\n`).FindStringSubmatch(first)
	g.Expect(address).NotTo(BeNil(), "the guide has a curl line for the app")
	answer, err := http.Get(address[1])
	g.Expect(err).NotTo(HaveOccurred())
	body, err := io.ReadAll(answer.Body)
	g.Expect(answer.Body.Close()).To(Succeed())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(body)).To(HavePrefix("Hello from " + sampleAppName))

	ran := stateOf(g, dir)
	status, second := run(up...)
	g.Expect(status).To(Equal(0))
	g.Expect(stateOf(g, dir)).To(Equal(ran), "what runs is used")
	g.Expect(guideOf(second)).To(Equal(guideOf(first)))

	g.Expect(syscall.Kill(ran.Irene.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	again := stateOf(g, dir)
	g.Expect(again.Cluster).To(Equal(ran.Cluster))
	g.Expect(again.Irene).NotTo(Equal(ran.Irene))

	g.Expect(syscall.Kill(again.Cluster.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	last := stateOf(g, dir)
	g.Expect(last.Cluster).NotTo(Equal(again.Cluster))
	g.Expect(last.API).To(Equal(ran.API))

	g.Expect(syscall.Kill(last.Irene.PID, syscall.SIGKILL)).To(Succeed())
	g.Expect(syscall.Kill(last.Cluster.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run("down")
	g.Expect(status).To(Equal(0))
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

func stateOf(g *WithT, dir string) state {
	s, err := (&folder{path: dir}).loadState()
	g.Expect(err).NotTo(HaveOccurred())
	return s
}

// guideOf is what "up" prints after its steps.
func guideOf(output string) string {
	return output[strings.Index(output, "\n\n"):]
}
