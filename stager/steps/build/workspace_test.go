package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	samples "github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/archive"
)

// workspace is a shared volume as fetch leaves it.
type workspace struct {
	folder string
	config steps.BuildConfig
	stdout string
	stderr string
	phases []steps.Phase
}

func newWorkspace(t *testing.T) *workspace {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{steps.AppFolder, steps.BuildpacksFolder, steps.CacheFolder, steps.OutFolder} {
		NewWithT(t).Expect(os.Mkdir(filepath.Join(folder, name), 0o755)).To(Succeed())
	}
	return &workspace{folder: folder, config: steps.BuildConfig{Workspace: folder, Stack: "cflinuxfs4"}}
}

func (w *workspace) path(name ...string) string {
	return filepath.Join(append([]string{w.folder}, name...)...)
}

// file writes a file below the volume.
func (w *workspace) file(t *testing.T, name, content string) *workspace {
	t.Helper()
	g := NewWithT(t)
	g.Expect(os.MkdirAll(filepath.Dir(w.path(name)), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(w.path(name), []byte(content), 0o755)).To(Succeed())
	return w
}

// use adds a buildpack that skips detection, made of scripts by name.
func (w *workspace) use(t *testing.T, key string, scripts map[string]string) *workspace {
	t.Helper()
	for name, text := range scripts {
		w.file(t, filepath.Join(steps.BuildpackPath(key), "bin", name), "#!/bin/sh\nset -eu\n"+text)
	}
	w.config.Buildpacks = append(w.config.Buildpacks, steps.BuildBuildpack{Name: key + "_buildpack", Key: key, SkipDetect: true})
	return w
}

// sample adds one of the sample buildpacks.
func (w *workspace) sample(t *testing.T, name string, skipDetect bool, more ...samples.File) *workspace {
	t.Helper()
	g := NewWithT(t)
	zip, err := samples.Zip(name, more...)
	g.Expect(err).NotTo(HaveOccurred())
	folder := w.path(steps.BuildpackPath(name))
	g.Expect(os.MkdirAll(folder, 0o755)).To(Succeed())
	_, err = archive.Unpack(context.Background(), bytes.NewReader(zip), int64(len(zip)), folder, archive.Rules{Bytes: 1 << 30, Entries: 100})
	g.Expect(err).NotTo(HaveOccurred())
	w.config.Buildpacks = append(w.config.Buildpacks, steps.BuildBuildpack{Name: name + "_buildpack", Key: name, SkipDetect: skipDetect})
	return w
}

// run runs the build and keeps what it said.
func (w *workspace) run(t *testing.T) error {
	t.Helper()
	return w.runWith(context.Background(), t)
}

func (w *workspace) runWith(ctx context.Context, t *testing.T) error {
	t.Helper()
	g := NewWithT(t)
	g.Expect(w.config.Validate()).To(Succeed())
	folder := t.TempDir()
	open := func(name string) *os.File {
		file, err := os.Create(filepath.Join(folder, name))
		g.Expect(err).NotTo(HaveOccurred())
		return file
	}
	stdout, stderr := open("stdout"), open("stderr")
	defer stdout.Close()
	defer stderr.Close()
	phases, err := Run(ctx, w.config, Output{stdout, stderr})
	w.phases = phases
	said := func(file *os.File) string {
		text, err := os.ReadFile(file.Name())
		g.Expect(err).NotTo(HaveOccurred())
		return string(text)
	}
	w.stdout, w.stderr = said(stdout), said(stderr)
	return err
}

// built is run for builds that must succeed.
func (w *workspace) built(t *testing.T) *workspace {
	t.Helper()
	NewWithT(t).Expect(w.run(t)).To(Succeed(), "stdout: %s\nstderr: %s", w.stdout, w.stderr)
	return w
}

func (w *workspace) result(t *testing.T) steps.Result {
	t.Helper()
	g := NewWithT(t)
	text, err := os.ReadFile(w.path(steps.OutFolder, steps.ResultFile))
	g.Expect(err).NotTo(HaveOccurred())
	result, err := steps.ParseResult(text)
	g.Expect(err).NotTo(HaveOccurred())
	return result
}

// packed reads an archive of the build: content by name, "-> target" for links and
// "/" for folders.
func (w *workspace) packed(t *testing.T, name string) map[string]string {
	t.Helper()
	g := NewWithT(t)
	file, err := os.Open(w.path(steps.OutFolder, name))
	g.Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	z, err := gzip.NewReader(file)
	g.Expect(err).NotTo(HaveOccurred())
	entries := map[string]string{}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		g.Expect(err).NotTo(HaveOccurred())
		text, err := io.ReadAll(r)
		g.Expect(err).NotTo(HaveOccurred())
		switch header.Typeflag {
		case tar.TypeDir:
			entries[header.Name] = "/"
		case tar.TypeSymlink:
			entries[header.Name] = "-> " + header.Linkname
		default:
			entries[header.Name] = string(text)
		}
	}
}

func (w *workspace) stagingInfo(t *testing.T) map[string]any {
	t.Helper()
	var info map[string]any
	NewWithT(t).Expect(json.Unmarshal([]byte(w.packed(t, steps.DropletFile)["./staging_info.yml"]), &info)).To(Succeed())
	return info
}

func (w *workspace) phaseNames() []string {
	var names []string
	for _, phase := range w.phases {
		names = append(names, phase.Name)
	}
	return names
}

// reasonOf is why a build failed.
func reasonOf(t *testing.T, err error) steps.Reason {
	t.Helper()
	NewWithT(t).Expect(err).To(HaveOccurred())
	return steps.AsFailure(err).Reason
}
