//go:build node

package node_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/stager/steps"
)

// sizeOf is a variable's number: what these specs use by themselves is small, so that
// they take seconds. IRENE_STAGING_APP_MB=1024 IRENE_STAGING_FILES=100000 is what they
// are meant to bear.
func sizeOf(variable string, usual int) int {
	GinkgoHelper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	size, err := strconv.Atoi(text)
	Expect(err).NotTo(HaveOccurred(), variable)
	return size
}

// writtenSource gives Cloud Controller an app whose archive is written while it is read.
func (s *stagingInstallation) writtenSource(write func(archive *zip.Writer) error) string {
	GinkgoHelper()
	guid := cloudcontroller.NewGUID()
	reader, writer := io.Pipe()
	go func() {
		archive := zip.NewWriter(writer)
		err := write(archive)
		if err == nil {
			err = archive.Close()
		}
		_ = writer.CloseWithError(err) // never fails
	}()
	_, err := s.cloudController.AddPackage(guid, reader)
	Expect(err).NotTo(HaveOccurred())
	return guid
}

var _ = Describe("an app of an unusual size", Ordered, ContinueOnFailure, func() {
	const mebibyte = 1 << 20
	var place *stagingInstallation
	BeforeAll(func(ctx SpecContext) {
		place = newStagingInstallation(ctx, "sizes", nil)
		place.addBuildpack("counting", scripts(
			`echo "$(find "$1" -type f | wc -l) files of $(($(du -sk "$1" | cut -f 1) / 1024)) MiB"; mkdir -p "$3/$4"`, ""))
	}, NodeTimeout(time.Minute))

	It("is staged when it is large", func(ctx SpecContext) {
		size := sizeOf("IRENE_STAGING_APP_MB", 100)
		large := place.writtenSource(func(archive *zip.Writer) error {
			entry, err := archive.CreateHeader(&zip.FileHeader{Name: "noise", Method: zip.Store})
			if err != nil {
				return err
			}
			_, err = io.CopyN(entry, rand.NewChaCha8([32]byte{1}), int64(size)*mebibyte)
			return err
		})
		b := place.stage(ctx, standin.Build{AppName: "large", Package: large, Buildpacks: []string{"counting"}, DiskMB: 1024 + 4*size})
		b.staged(ctx)
		AddReportEntry(fmt.Sprintf("an app of %d MiB", size), b.timings(ctx), ReportEntryVisibilityAlways)
		Expect(b.log(ctx, steps.BuildStep)).To(ContainSubstring("1 files of %d MiB", size))
		b.toldOnce()
	}, SpecTimeout(8*time.Minute))

	It("is staged when it has many files", func(ctx SpecContext) {
		count := sizeOf("IRENE_STAGING_FILES", 10_000)
		many := place.writtenSource(func(archive *zip.Writer) error {
			for i := range count {
				entry, err := archive.Create(fmt.Sprintf("folder%d/file%d", i%100, i))
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintln(entry, i); err != nil {
					return err
				}
			}
			return nil
		})
		b := place.stage(ctx, standin.Build{AppName: "many", Package: many, Buildpacks: []string{"counting"}})
		b.staged(ctx)
		AddReportEntry(fmt.Sprintf("an app of %d files", count), b.timings(ctx), ReportEntryVisibilityAlways)
		Expect(b.log(ctx, steps.BuildStep)).To(ContainSubstring("%d files", count))
		b.toldOnce()
	}, SpecTimeout(5*time.Minute))

	It("is refused when it unpacks to more than the build's disk, before the disk is full", func(ctx SpecContext) {
		// A thousand files that are compressed once.
		zeros := make([]byte, mebibyte)
		var compressed bytes.Buffer
		compressor, err := flate.NewWriter(&compressed, flate.BestCompression)
		Expect(err).NotTo(HaveOccurred())
		_, err = compressor.Write(zeros)
		Expect(errors.Join(err, compressor.Close())).To(Succeed())
		bomb := place.writtenSource(func(archive *zip.Writer) error {
			for i := range 1000 {
				entry, err := archive.CreateRaw(&zip.FileHeader{
					Name: fmt.Sprintf("zeros%d", i), Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(zeros),
					CompressedSize64: uint64(compressed.Len()), UncompressedSize64: mebibyte,
				})
				if err != nil {
					return err
				}
				if _, err := entry.Write(compressed.Bytes()); err != nil {
					return err
				}
			}
			return nil
		})
		b := place.stage(ctx, standin.Build{AppName: "bomb", Package: bomb, Buildpacks: []string{"counting"}, DiskMB: 64})
		b.failed(ctx, "StagingError", And(ContainSubstring("failed to unpack the app package"), ContainSubstring("unpacks to more than %d bytes", 64*mebibyte)))
		Expect(b.statuses(ctx)).NotTo(HaveKey(steps.BuildStep), "no user code has run")
		b.toldOnce()
	}, SpecTimeout(2*time.Minute))
})
