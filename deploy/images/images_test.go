package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
)

// That the same source makes the same image is the node tier's to prove, in deploy/helm,
// with the real programs.

var testRelease = release{version: "v1.2.3", revision: "abc", created: time.Unix(1700000000, 0).UTC()}

// imageOf is an image of something small as the only program, with the modules of the
// test's own binary.
func imageOf(t *testing.T, architecture string) platformImage {
	t.Helper()
	g := NewWithT(t)
	self, err := os.Executable()
	g.Expect(err).NotTo(HaveOccurred())
	small := filepath.Join(t.TempDir(), "irene")
	g.Expect(os.WriteFile(small, []byte("program"), 0o755)).To(Succeed())
	layer, err := programLayer(small, "irene")
	g.Expect(err).NotTo(HaveOccurred())
	platform := v1.Platform{OS: "linux", Architecture: architecture}
	image, err := assemble(testRelease, platform, []v1.Layer{layer})
	g.Expect(err).NotTo(HaveOccurred())
	modules, err := billOfMaterials(testRelease, map[string]string{"irene": self})
	g.Expect(err).NotTo(HaveOccurred())
	return platformImage{platform: platform, image: image, modules: modules}
}

func push(t *testing.T, built ...platformImage) (printed string, tag name.Tag) {
	t.Helper()
	g := NewWithT(t)
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	to, err := newTarget(strings.TrimPrefix(server.URL, "http://")+"/cf/irene", testRelease.version, false)
	g.Expect(err).NotTo(HaveOccurred())
	var out bytes.Buffer
	g.Expect(to.push(t.Context(), built, &out)).To(Succeed())
	return out.String(), to.tag
}

func TestImageRunsIreneAsNobody(t *testing.T) {
	g := NewWithT(t)
	_, tag := push(t, imageOf(t, "amd64"))
	image, err := remote.Image(tag)
	g.Expect(err).NotTo(HaveOccurred())
	config, err := image.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Config.User).To(Equal("65532:65532"))
	g.Expect(config.Config.Entrypoint).To(Equal([]string{"/irene/irene"}))
	g.Expect(config.Created.Time).To(BeTemporally("==", testRelease.created))
	g.Expect(config.Config.Labels).To(And(
		HaveKeyWithValue("org.opencontainers.image.version", "v1.2.3"),
		HaveKeyWithValue("org.opencontainers.image.revision", "abc"),
		HaveKeyWithValue("org.opencontainers.image.licenses", "Apache-2.0")))
	layers, err := image.Layers()
	g.Expect(err).NotTo(HaveOccurred())
	content, err := layers[0].Uncompressed()
	g.Expect(err).NotTo(HaveOccurred())
	var names []string
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect([]any{header.Uid, header.Gid, header.ModTime.Unix()}).To(Equal([]any{0, 0, int64(0)}), header.Name)
		names = append(names, header.Name)
	}
	g.Expect(content.Close()).To(Succeed())
	g.Expect(names).To(Equal([]string{"tmp/", "irene/", "irene/irene"}))
}

func TestListOfModulesRefersToTheImage(t *testing.T) {
	g := NewWithT(t)
	built := imageOf(t, "amd64")
	printed, tag := push(t, built)
	digest, err := built.image.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(printed).To(HavePrefix(tag.String() + "@" + digest.String() + "\n"))
	referrers, err := remote.Referrers(tag.Digest(digest.String()))
	g.Expect(err).NotTo(HaveOccurred())
	index, err := referrers.IndexManifest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(index.Manifests).To(HaveLen(1))
	g.Expect(index.Manifests[0].ArtifactType).To(Equal(string(materialsType)))
	artifact, err := remote.Image(tag.Digest(index.Manifests[0].Digest.String()))
	g.Expect(err).NotTo(HaveOccurred())
	layers, err := artifact.Layers()
	g.Expect(err).NotTo(HaveOccurred())
	content, err := layers[0].Uncompressed()
	g.Expect(err).NotTo(HaveOccurred())
	var list struct {
		BOMFormat  string
		Components []struct{ Name, Version, Purl string }
	}
	g.Expect(json.NewDecoder(content).Decode(&list)).To(Succeed())
	g.Expect(list.BOMFormat).To(Equal("CycloneDX"))
	var names []string
	for _, component := range list.Components {
		names = append(names, component.Name)
	}
	g.Expect(names).To(ContainElements("irene", "std", "github.com/google/go-containerregistry"))
}

func TestSeveralPlatformsMakeAnIndex(t *testing.T) {
	g := NewWithT(t)
	printed, tag := push(t, imageOf(t, "amd64"), imageOf(t, "arm64"))
	index, err := remote.Index(tag)
	g.Expect(err).NotTo(HaveOccurred())
	digest, err := index.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(printed).To(And(ContainSubstring("@"+digest.String()+"\n"), ContainSubstring("modules of linux/amd64"), ContainSubstring("modules of linux/arm64")))
	image, err := remote.Image(tag, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))
	g.Expect(err).NotTo(HaveOccurred())
	config, err := image.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Architecture).To(Equal("arm64"))
}

func TestListOfModulesIsTheSameEachTime(t *testing.T) {
	g := NewWithT(t)
	g.Expect(imageOf(t, "amd64").modules).To(Equal(imageOf(t, "amd64").modules))
}

func TestCommandLineFaults(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--version", "v1"}, "--repository"},
		{[]string{"--repository", "127.0.0.1:1/irene"}, "--version"},
		{[]string{"--repository", "not a name", "--version", "v1"}, "--repository, --version"},
		{[]string{"--repository", "127.0.0.1:1/irene", "--version", "v 1"}, "--repository, --version"},
		{[]string{"--repository", "127.0.0.1:1/irene", "--version", "v1", "--platforms", "windows/amd64"}, "--platforms"},
		{[]string{"--repository", "127.0.0.1:1/irene", "--version", "v1", "more"}, `unexpected argument "more"`},
		{[]string{"--repository", "127.0.0.1:1/irene", "--version", "v1", "--source", missing}, "compile launch"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(command(t.Context(), tt.args, io.Discard, io.Discard)).To(MatchError(ContainSubstring(tt.want)))
		})
	}
	t.Run("SOURCE_DATE_EPOCH", func(t *testing.T) {
		g := NewWithT(t)
		t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
		err := command(t.Context(), []string{"--repository", "127.0.0.1:1/irene", "--version", "v1"}, io.Discard, io.Discard)
		g.Expect(err).To(MatchError(ContainSubstring("SOURCE_DATE_EPOCH")))
	})
}
