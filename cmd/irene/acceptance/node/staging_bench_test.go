//go:build node && bench

package node_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/archive"
)

const (
	// benchBuildpackMB is what the buildpack brings along and can't be compressed, as
	// those have that come with their dependencies.
	benchBuildpackMB = 200
	// benchFiles are the large app's, of benchFileKB each.
	benchFiles, benchFileKB = 2000, 100
)

// benchSupply does what supply scripts mostly do: it unpacks a dependency.
const benchSupply = `set -eu
echo supplying
mkdir -p "$3/$4/lib"
head -c 20000000 "$(dirname "$0")/../dependencies" >"$3/$4/lib/runtime"
printf 'name: bench\nconfig: {}\n' >"$3/$4/config.yml"`

// benchArchive is a zip archive with scripts and noise.
func benchArchive(scripts map[string]string, noise map[string]int) []byte {
	GinkgoHelper()
	var content bytes.Buffer
	z := zip.NewWriter(&content)
	add := func(name string, mode os.FileMode, text []byte) {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(mode)
		entry, err := z.CreateHeader(header)
		Expect(err).NotTo(HaveOccurred())
		_, err = entry.Write(text)
		Expect(err).NotTo(HaveOccurred())
	}
	for name, script := range scripts {
		add(name, 0o755, []byte("#!/bin/sh\n"+script+"\n"))
	}
	random := rand.NewChaCha8([32]byte{1})
	for name, size := range noise {
		text := make([]byte, size)
		_, _ = random.Read(text) // never fails
		add(name, 0o644, text)
	}
	Expect(z.Close()).To(Succeed())
	return content.Bytes()
}

// stepSeconds says how long the steps took, and what the whole took beyond them.
func (b *stagedBuild) stepSeconds(ctx context.Context) (total float64, row string) {
	GinkgoHelper()
	total = b.told().Sub(b.asked).Seconds()
	around := total
	statuses := b.statuses(ctx)
	for _, step := range stagingSteps {
		outcome, err := steps.ParseOutcome(step, []byte(statuses[step].Terminated.Message))
		Expect(err).NotTo(HaveOccurred())
		around -= outcome.Seconds
		row += fmt.Sprintf(" %.2f |", outcome.Seconds)
	}
	return total, fmt.Sprintf("%s %.2f | %.2f |", row, around, total)
}

// byHand is what a person would do without Irene and Kubernetes: unpack the app and run
// the buildpack's scripts, both here at hand already, and pack the droplet.
func byHand(app, buildpack []byte) (unpacking, running, packing float64) {
	GinkgoHelper()
	folder := GinkgoT().TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{folder}, parts...)...) }
	for _, name := range []string{"app", "buildpack", "cache", "deps/0", "profile.d"} {
		Expect(os.MkdirAll(at(name), 0o755)).To(Succeed())
	}
	unpack := func(content []byte, name string) {
		GinkgoHelper()
		_, err := archive.Unpack(context.Background(), bytes.NewReader(content), int64(len(content)), at(name), archive.Rules{Bytes: 1 << 32, Entries: 1 << 20})
		Expect(err).NotTo(HaveOccurred())
	}
	run := func(program string, arguments ...string) {
		GinkgoHelper()
		printed, err := exec.Command(program, arguments...).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(printed))
	}
	unpack(buildpack, "buildpack")
	seconds := func(do func()) float64 {
		began := time.Now()
		do()
		return time.Since(began).Seconds()
	}
	unpacking = seconds(func() { unpack(app, "app") })
	running = seconds(func() {
		run(at("buildpack/bin/supply"), at("app"), at("cache"), at("deps"), "0")
		run(at("buildpack/bin/finalize"), at("app"), at("cache"), at("deps"), "0", at("profile.d"))
		run(at("buildpack/bin/release"), at("app"))
	})
	packing = seconds(func() { run("tar", "-C", folder, "-czf", at("droplet.tgz"), "app", "deps", "profile.d") })
	return unpacking, running, packing
}

var _ = Describe("the benchmark of staging", func() {
	It("measures each step", func(ctx SpecContext) {
		buildpack := benchArchive(map[string]string{
			"bin/detect": "exit 0", "bin/supply": benchSupply, "bin/finalize": "echo finalizing",
			"bin/release": "echo 'default_process_types: {web: sleep 1000}'",
		}, map[string]int{"dependencies": benchBuildpackMB * 1_000_000})
		files := map[string]int{}
		for i := range benchFiles {
			files[fmt.Sprintf("folder%d/file%d", i%50, i)] = benchFileKB * 1000
		}
		apps := []struct {
			name    string
			content []byte
		}{{"small", benchArchive(nil, map[string]int{"index.html": 1000})}, {"200 MB", benchArchive(nil, files)}}

		var table strings.Builder
		fmt.Fprintf(&table, "Seconds of builds with a buildpack of %d MB\n\n| app | image volumes | build | fetch | build | push | around | all | all − by hand |\n|---|---|---|---|---|---|---|---|---|\n", benchBuildpackMB)
		hands := map[string]float64{}
		for _, app := range apps {
			unpacking, running, packing := byHand(app.content, buildpack)
			hands[app.name] = unpacking + running + packing
			fmt.Fprintf(&table, "| %s | by hand | unpack %.2f, scripts %.2f, tar -cz %.2f | | | | | %.2f | |\n", app.name, unpacking, running, packing, hands[app.name])
		}
		for _, volumes := range []string{"off", "on"} {
			place := newStagingInstallation(ctx, "bench-"+volumes, map[string]any{"image_volumes": volumes})
			place.addBuildpack("bench", buildpack)
			for i, app := range apps {
				guid := cloudcontroller.NewGUID()
				_, err := place.cloudController.AddPackage(guid, bytes.NewReader(app.content))
				Expect(err).NotTo(HaveOccurred())
				wanted := standin.Build{AppName: "bench", AppGUID: cloudcontroller.NewGUID(), Package: guid, Buildpacks: []string{"bench"}}
				for number := range 3 {
					if i == 0 && number == 1 && volumes == "on" {
						place.imagesOfBuildpacks(ctx, 1)
					}
					b := place.stage(ctx, wanted)
					b.staged(ctx)
					total, row := b.stepSeconds(ctx)
					fmt.Fprintf(&table, "| %s | %s | %d |%s %.2f |\n", app.name, volumes, number+1, row, total-hands[app.name])
				}
			}
		}
		AddReportEntry("figures", table.String(), ReportEntryVisibilityAlways)
		fmt.Println("\n" + table.String())
	}, SpecTimeout(15*time.Minute))
})
