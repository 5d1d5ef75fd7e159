package buildpacks

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps"
)

// layerOf is the layer of an archive.
func layerOf(t *testing.T, content []byte) []byte {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "layer.tgz")
	g := NewWithT(t)
	g.Expect(writeLayer(context.Background(), bytes.NewReader(content), int64(len(content)), filepath.Join(folder, "content"), file, steps.Limits{}.WithDefaults())).To(Succeed())
	layer, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	return layer
}

// entries are a layer's, with mode, owner, time and content or target.
func entries(t *testing.T, layer []byte) []string {
	t.Helper()
	g := NewWithT(t)
	plain, err := gzip.NewReader(bytes.NewReader(layer))
	g.Expect(err).NotTo(HaveOccurred())
	var found []string
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		g.Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(archive)
		g.Expect(err).NotTo(HaveOccurred())
		found = append(found, fmt.Sprintf("%s %o %d:%d %s %s%s", header.Name, header.Mode, header.Uid, header.Gid, header.ModTime.UTC().Format(time.DateOnly), content, header.Linkname))
	}
}

func TestLayerIsWhatFetchUnpacks(t *testing.T) {
	g := NewWithT(t)
	layer := layerOf(t, sampleBuildpack(t))
	g.Expect(entries(t, layer)).To(HaveExactElements(
		"./ 755 2000:2000 1970-01-01 ",
		"./bin/ 755 2000:2000 1970-01-01 ",
		"./bin/detect 755 2000:2000 2020-02-29 #!/bin/sh\n",
		"./bin/lib.rb 644 2000:2000 2020-02-29 puts 1",
		"./current 777 2000:2000 1970-01-01 bin",
	))
	g.Expect(layerOf(t, sampleBuildpack(t))).To(Equal(layer))
}

func TestScriptsAreMendedBeforeTheyCanNotBe(t *testing.T) {
	g := NewWithT(t)
	files := []file{{"bin/compile", "", 0o644}, {"bin/helper", "", 0o644}, {"ruby-main/bin/supply", "", 0o640}, {"a/b/bin/detect", "", 0o644}}
	g.Expect(entries(t, layerOf(t, zipOf(t, files...)))).To(And(
		ContainElement(HavePrefix("./bin/compile 755 ")), ContainElement(HavePrefix("./bin/helper 644 ")),
		ContainElement(HavePrefix("./ruby-main/bin/supply 755 ")), ContainElement(HavePrefix("./a/b/bin/detect 644 ")),
	))
}

// The layer is made by a process that has the platform's keys.
func TestLinksOfBuildpacksAreNotFollowed(t *testing.T) {
	g := NewWithT(t)
	outside := filepath.Join(t.TempDir(), "bin")
	g.Expect(os.Mkdir(outside, 0o755)).To(Succeed())
	victim := filepath.Join(outside, "detect")
	g.Expect(os.WriteFile(victim, []byte("unharmed"), 0o644)).To(Succeed())
	const link = fs.ModeSymlink | 0o777
	for name, archive := range map[string][]byte{
		"script":   zipOf(t, file{"bin/detect", victim, link}, file{"a/bin/detect", victim, link}),
		"folder":   zipOf(t, file{"bin", outside, link}, file{"a/bin", outside, link}),
		"above":    zipOf(t, file{"a", filepath.Dir(outside), link}),
		"climbing": zipOf(t, file{"bin/detect", "../../../../../../../../../../" + victim, link}),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(entries(t, layerOf(t, archive))).To(And(
				ContainElement(ContainSubstring(filepath.Dir(outside))), Not(ContainElement(ContainSubstring("unharmed")))))
			info, err := os.Stat(victim)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(info.Mode()).To(Equal(fs.FileMode(0o644)))
		})
	}
}

func TestLeftoversAreCleared(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	for name, age := range map[string]time.Duration{folderPrefix + "old": 3 * time.Hour, folderPrefix + "new": time.Minute, "other": 3 * time.Hour} {
		path := filepath.Join(folder, name)
		g.Expect(os.MkdirAll(filepath.Join(path, "content"), 0o700)).To(Succeed())
		at := time.Now().Add(-age)
		g.Expect(os.Chtimes(path, at, at)).To(Succeed())
	}
	i := &Images{options: Options{Folder: folder}}
	g.Expect(i.clear()).To(Succeed())
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(ConsistOf(filepath.Join(folder, folderPrefix+"new"), filepath.Join(folder, "other")))
}
