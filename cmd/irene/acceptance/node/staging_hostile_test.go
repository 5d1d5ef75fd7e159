//go:build node

package node_test

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/stager/steps"
)

//go:embed hostile
var hostile embed.FS

// hostileScript is one of the hostile buildpack's.
func hostileScript(name string) string {
	GinkgoHelper()
	content, err := hostile.ReadFile("hostile/" + name)
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimPrefix(string(content), "#!/bin/sh\n")
}

// mayFind is what the environment of user code has.
var mayFind = regexp.MustCompile(`^(HOW|CF_STACK|BUILDPACKS_DIR|CF_INSTANCE_[A-Z_]+|HOME|HOSTNAME|LANG|MEMORY_LIMIT|OLDPWD|PATH|POD_NAME|PWD|SHLVL|TMPDIR|USER|VCAP_[A-Z_]+|DATABASE_URL)=`)

var _ = Describe("a hostile buildpack", Ordered, func() {
	It("finds no credential anywhere, and takes none along by links", func(ctx SpecContext) {
		place := newStagingInstallation(ctx, "hostile", nil)
		place.addBuildpack("hostile", scripts(hostileScript("supply"), hostileScript("finalize")))
		source := place.addSource(map[string]string{"index.html": "innocent\n"})
		builds := map[string]*stagedBuild{}
		ways := []string{"inside", "before", "folder", "after"}
		for _, how := range ways {
			builds[how] = place.stage(ctx, standin.Build{
				AppName: how, Package: source, Buildpacks: []string{"hostile"}, Passwords: how == "inside", Environment: map[string]string{"HOW": how},
			})
		}
		for _, how := range ways {
			b := builds[how]
			ended := b.ended(ctx)
			AddReportEntry("links "+how, string(ended.State)+" "+ended.ErrorID+" "+ended.ErrorMessage, ReportEntryVisibilityAlways)
			if ended.State == standin.Failed {
				Expect(ended.ErrorID).To(Equal("StagingError"))
				Expect(ended.ErrorMessage).To(ContainSubstring("the build"))
			}
			b.keptItsSecrets(ctx)
			b.toldOnce()
			if ended.Droplet != nil {
				droplet := unpacked(ended.Droplet.Blob.Path)
				b.keeps(droplet, "the droplet of links "+how)
				Expect(droplet).To(ContainSubstring("innocent"))
			}
			if cache, there := place.cloudController.Cache(imageworks.StackName, b.AppGUID); there {
				b.keeps(unpacked(cache.Path), "the cache of links "+how)
			}
		}

		found := builds["inside"].log(ctx, steps.BuildStep)
		AddReportEntry("what it found", found, ReportEntryVisibilityFailureOrVerbose)
		Expect(found).NotTo(ContainSubstring("a token: "))
		for _, line := range section(found, "environment") {
			Expect(line).To(MatchRegexp(mayFind.String()))
		}
		Expect(found).To(ContainSubstring("== who: uid=2000(vcap) gid=2000(vcap)"))
		AddReportEntry("texts in the memory of process 1", fmt.Sprint(len(section(found, "memory of process 1"))), ReportEntryVisibilityAlways)
		var files []string
		for line := range strings.Lines(found) {
			if file, is := strings.CutPrefix(strings.TrimSpace(line), "-- "); is {
				files = append(files, file)
				if strings.HasPrefix(file, "/etc/irene-stage/") {
					Expect(path.Base(file)).To(BeElementOf("build.json", "environment.json"))
				}
			}
		}
		AddReportEntry("files that it could read", strings.Join(files, "\n"), ReportEntryVisibilityAlways)
		AddReportEntry("environment", strings.Join(section(found, "environment"), "\n"), ReportEntryVisibilityAlways)
	}, SpecTimeout(2*time.Minute))
})

// section are the lines of the log after a heading.
func section(log, heading string) []string {
	_, after, _ := strings.Cut(log, "== "+heading+"\n")
	before, _, _ := strings.Cut(after, "\n== ")
	return strings.Split(strings.TrimSpace(before), "\n")
}

// unpacked is a gzipped file's content.
func unpacked(file string) string {
	GinkgoHelper()
	content, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	z, err := gzip.NewReader(bytes.NewReader(content))
	Expect(err).NotTo(HaveOccurred())
	text, err := io.ReadAll(z)
	Expect(errors.Join(err, z.Close())).To(Succeed())
	return string(text)
}
