package bits

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

var linuxAMD64 = v1.Platform{OS: "linux", Architecture: "amd64"}

// onPlatform is an image whose config names a platform.
func onPlatform(t testing.TB, platform v1.Platform, layers ...v1.Layer) v1.Image {
	t.Helper()
	image := imageOf(t, "", layers...)
	config, err := image.ConfigFile()
	check(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	image, err = mutate.ConfigFile(image, config)
	check(t, err)
	return image
}

// writeLayout makes an OCI image layout.
func writeLayout(t testing.TB, images ...v1.Image) string {
	t.Helper()
	path, err := layout.Write(t.TempDir(), empty.Index)
	check(t, err)
	for _, image := range images {
		config, err := image.ConfigFile()
		check(t, err)
		var options []layout.Option
		if config.OS != "" {
			options = append(options, layout.WithPlatform(*config.Platform()))
		}
		check(t, path.AppendImage(image, options...))
	}
	return string(path)
}

func indexOf(t testing.TB, images ...v1.Image) v1.ImageIndex {
	t.Helper()
	index := v1.ImageIndex(empty.Index)
	for _, image := range images {
		config, err := image.ConfigFile()
		check(t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: config.Platform()}})
	}
	return index
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, err := writer.Write(content)
	check(t, err)
	check(t, writer.Close())
	return packed.Bytes()
}

func named(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	check(t, os.WriteFile(path, content, 0o600))
	return path
}

func TestImportStack(t *testing.T) {
	other := newHub(t)
	base := layerOf(t, folder("etc"), file("etc/passwd", debian))
	wanted := onPlatform(t, linuxAMD64, base, layerOf(t, file("etc/version", "wanted")))
	foreign := onPlatform(t, v1.Platform{OS: "linux", Architecture: "arm64"}, base, layerOf(t, file("etc/version", "foreign")))
	wantedDigest, err := wanted.Digest()
	check(t, err)

	plain, err := base.Uncompressed()
	check(t, err)
	rootfs, err := io.ReadAll(plain)
	check(t, err)
	saved := filepath.Join(t.TempDir(), "saved.tar")
	check(t, tarball.WriteToFile(saved, name.MustParseReference("stack:1"), wanted))
	savedContent, err := os.ReadFile(saved)
	check(t, err)
	nested := layout.Path(t.TempDir())
	nested, err = layout.Write(string(nested), empty.Index)
	check(t, err)
	check(t, nested.AppendIndex(indexOf(t, foreign, wanted)))

	multi := refer(t, other, "/stacks/multi:1")
	check(t, remote.WriteIndex(multi, indexOf(t, foreign, wanted)))
	single := multi.Context().Digest(wantedDigest.String())

	for source, example := range map[string]struct {
		location string
		// digest is zero where it is not known beforehand.
		digest v1.Hash
		layers int
	}{
		"layout":              {writeLayout(t, wanted), wantedDigest, 2},
		"layout of platforms": {writeLayout(t, foreign, wanted), wantedDigest, 2},
		"nested layout":       {string(nested), wantedDigest, 2},
		"registry, index":     {multi.String(), wantedDigest, 2},
		"registry, digest":    {single.String(), wantedDigest, 2},
		"docker save":         {saved, v1.Hash{}, 2},
		"docker save, packed": {named(t, "saved", gzipped(t, savedContent)), v1.Hash{}, 2},
		"rootfs.tar":          {named(t, "rootfs.tar", rootfs), v1.Hash{}, 1},
		"rootfs.tar.gz":       {named(t, "rootfs.tar.gz", gzipped(t, rootfs)), v1.Hash{}, 1},
	} {
		t.Run(source, func(t *testing.T) {
			g := NewWithT(t)
			hub := newHub(t)
			options := hub.options()
			options.Platform = &linuxAMD64
			registry := registryOf(t, options)
			digest, err := registry.ImportStack(context.Background(), "cflinuxfs4", StackSource{Location: example.location})
			g.Expect(err).NotTo(HaveOccurred())
			if example.digest != (v1.Hash{}) {
				g.Expect(digest).To(Equal(example.digest))
			}
			g.Expect(registry.StackDigest(context.Background(), "cflinuxfs4")).To(Equal(digest))
			g.Expect(registry.StackImages(context.Background(), "cflinuxfs4")).To(Equal(map[string]v1.Hash{"latest": digest, digest.Hex[:12]: digest}))
			found, err := registry.base(context.Background(), "cflinuxfs4", digest)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(found.layers).To(HaveLen(example.layers))
			puts := hub.seen()
			g.Expect(puts).To(ContainElements("PUT cloudfoundry/stacks/cflinuxfs4:latest", "PUT cloudfoundry/stacks/cflinuxfs4:"+digest.Hex[:12]))

			hub.forget()
			again, err := registryOf(t, options).ImportStack(context.Background(), "cflinuxfs4", StackSource{Location: example.location})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(again).To(Equal(digest))
			g.Expect(hub.count("P")).To(BeZero(), "nothing is sent twice")
		})
	}
}

func TestImportStackFromAProtectedRegistry(t *testing.T) {
	g := NewWithT(t)
	other, hub := newHub(t), newHub(t)
	reference := refer(t, other, "/stack:1")
	check(t, remote.Write(reference, imageOf(t, "", layerOf(t, file("etc/x", "x")))))
	other.set(func() { other.password = "secret" })
	registry := registryOf(t, hub.options())
	_, err := registry.ImportStack(context.Background(), "s", StackSource{Location: reference.String()})
	g.Expect(err).To(MatchError(ContainSubstring("401")))
	_, err = registry.ImportStack(context.Background(), "s", StackSource{Location: reference.String(), Credentials: &opi.RegistryCredentials{Username: "user", Password: "secret"}})
	g.Expect(err).NotTo(HaveOccurred())
}

func TestImportStackRefuses(t *testing.T) {
	hub := newHub(t)
	options := hub.options()
	options.Platform = &linuxAMD64
	registry := registryOf(t, options)
	base := layerOf(t, file("etc/x", "x"))
	arm := onPlatform(t, v1.Platform{OS: "linux", Architecture: "arm64"}, base)
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	check(t, writer.WriteHeader(&tar.Header{Name: "oci-layout", Mode: 0o644}))
	check(t, writer.Close())
	var layers []v1.Layer
	for range maxBaseLayers + 1 {
		layers = append(layers, base)
	}
	restricted, err := mutate.Append(imageOf(t, ""), mutate.Addendum{Layer: static.NewLayer([]byte("x"), types.OCIRestrictedLayer)})
	check(t, err)
	rootfs, err := base.Uncompressed()
	check(t, err)
	content, err := io.ReadAll(rootfs)
	check(t, err)

	for complaint, location := range map[string]string{
		"no such file or directory":             "/nowhere/rootfs.tar",
		"rootfs.tgz: no such file":              "rootfs.tgz",
		"neither a file nor an image reference": "Not A Reference",
		"is not an OCI image layout":            t.TempDir(),
		"holds no image for linux/amd64":        writeLayout(t, arm),
		"holds 2 images for linux/amd64":        writeLayout(t, onPlatform(t, linuxAMD64, base), onPlatform(t, linuxAMD64, base, base)),
		"it is for linux/arm64, not for linux/amd64": func() string {
			path := filepath.Join(t.TempDir(), "arm.tar")
			check(t, tarball.WriteToFile(path, name.MustParseReference("arm:1"), arm))
			return path
		}(),
		"is not a whole tar file":              named(t, "x", []byte("no tar at all, but text that is somewhat longer")),
		"lacks the end of one":                 named(t, "x", content[:1024]),
		"unexpected EOF":                       named(t, "x", gzipped(t, content)[:60]),
		"is an OCI image layout in a tar file": named(t, "x", archive.Bytes()),
		"there is neither etc nor bin nor usr": named(t, "x", tarWith(t, "readme")),
		"it has 101 layers, more than 100":     writeLayout(t, imageOf(t, "", layers...)),
		"may not be copied between registries": writeLayout(t, restricted),
		"it has no layers":                     writeLayout(t, imageOf(t, "")),
	} {
		t.Run(complaint, func(t *testing.T) {
			g := NewWithT(t)
			hub.forget()
			_, err := registry.ImportStack(t.Context(), "s", StackSource{Location: location})
			g.Expect(err).To(MatchError(ContainSubstring(complaint)))
			g.Expect(hub.count("P")).To(BeZero())
		})
	}
	g := NewWithT(t)
	for _, wrong := range []string{"", "A", "a/b", "a..b", ".."} {
		_, err := registry.ImportStack(context.Background(), wrong, StackSource{Location: writeLayout(t, onPlatform(t, linuxAMD64, base))})
		g.Expect(err).To(MatchError(ContainSubstring("can't be the name of a stack")))
	}
}

func tarWith(t testing.TB, name string) []byte {
	t.Helper()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	check(t, writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644}))
	check(t, writer.Close())
	return archive.Bytes()
}

// A rootfs.tar that is the same makes a stack that is the same, whatever it is called.
func TestRootFSImagesAreReproducible(t *testing.T) {
	g := NewWithT(t)
	content := gzipped(t, tarWith(t, "etc"))
	one, err := fileImage(named(t, "one", content), linuxAMD64)
	check(t, err)
	two, err := fileImage(named(t, "two", content), linuxAMD64)
	check(t, err)
	digest, err := one.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(two.Digest()).To(Equal(digest))
}

func TestLifecycleLayer(t *testing.T) {
	g := NewWithT(t)
	one, two := lifecycleOf(t, "launch program"), lifecycleOf(t, "launch program")
	g.Expect(one.Digest()).To(Equal(two.Digest()))
	g.Expect(one.Digest().String()).To(Equal("sha256:64dc10d69f172dc5dbd40aa1b8a8cb4020f5c53736f78582493ec31cc1371315"))
	g.Expect(lifecycleOf(t, "another").Digest()).NotTo(Equal(one.Digest()))

	content, err := one.layer.Uncompressed()
	g.Expect(err).NotTo(HaveOccurred())
	entries := tar.NewReader(content)
	for _, want := range []tar.Header{
		{Name: "app", Typeflag: tar.TypeSymlink, Linkname: "/home/vcap/app", Mode: 0o777},
		{Name: "lifecycle/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "lifecycle/launch", Typeflag: tar.TypeReg, Mode: 0o755, Size: 14},
	} {
		header, err := entries.Next()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect([]any{header.Name, header.Typeflag, header.Mode, header.Uid, header.Gid, header.Size, header.Linkname, header.ModTime.Unix()}).
			To(Equal([]any{want.Name, want.Typeflag, want.Mode, 0, 0, want.Size, want.Linkname, int64(0)}))
	}
	_, err = entries.Next()
	g.Expect(err).To(Equal(io.EOF))

	for path, complaint := range map[string]string{"/nowhere": "no such file", named(t, "x", nil): "is empty"} {
		_, err := LoadLifecycle(path)
		g.Expect(err).To(MatchError(ContainSubstring(complaint)))
	}
	big := filepath.Join(t.TempDir(), "big")
	check(t, os.WriteFile(big, nil, 0o600))
	check(t, os.Truncate(big, maxProgramBytes+1))
	_, err = LoadLifecycle(big)
	g.Expect(err).To(MatchError(ContainSubstring("has more than 67108864 bytes")))
}

func TestPushLifecycle(t *testing.T) {
	g := NewWithT(t)
	hub := newHub(t)
	lifecycle := lifecycleOf(t, "launch program")
	g.Expect(registryOf(t, hub.options()).PushLifecycle(context.Background(), lifecycle)).To(Succeed())
	g.Expect(hub.count("PUT cloudfoundry/lifecycle:" + lifecycle.Digest().Hex[:12])).To(Equal(1))
	hub.forget()
	g.Expect(registryOf(t, hub.options()).PushLifecycle(context.Background(), lifecycle)).To(Succeed())
	g.Expect(hub.count("P")).To(BeZero())
}

// manifestAt is a manifest of the hub as it is stored.
func manifestAt(t testing.TB, h *hub, reference string) (manifest map[string]any, found bool) {
	t.Helper()
	parsed, err := name.ParseReference(h.address()+"/"+reference, name.Insecure)
	check(t, err)
	descriptor, err := remote.Get(parsed)
	if isNotFound(err) {
		return nil, false
	}
	check(t, err)
	check(t, json.Unmarshal(descriptor.Manifest, &manifest))
	return manifest, true
}

func refer(t testing.TB, h *hub, path string) name.Reference {
	t.Helper()
	reference, err := name.ParseReference(h.address()+path, name.Insecure)
	check(t, err)
	return reference
}
