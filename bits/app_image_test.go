package bits

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"
)

func hashOf(digit string) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(digit, 64)}
}

func layerNamed(digit string, mediaType types.MediaType) imageLayer {
	return imageLayer{descriptor: v1.Descriptor{MediaType: mediaType, Size: 10, Digest: hashOf(digit)}, diffID: hashOf(digit)}
}

func exampleImage() appImage {
	created := v1.Time{Time: time.Unix(1_700_000_000, 0).UTC()}
	return appImage{
		stack: Stack{Name: "cflinuxfs4", Digest: hashOf("a"), Revision: "rev"},
		base: baseImage{
			layers: []imageLayer{layerNamed("1", types.OCILayer), layerNamed("2", types.OCIUncompressedLayer)},
			config: v1.ConfigFile{
				OS: "linux", Architecture: "arm64", Variant: "v8", OSVersion: "1", Author: "somebody", Container: "x",
				Created: created,
				Config: v1.Config{
					User: "root", Env: []string{"PATH=/stack/bin", "HOME=/root", "STACK=yes"}, Entrypoint: []string{"/bin/sh"}, Cmd: []string{"-c"},
					WorkingDir: "/", Volumes: map[string]struct{}{"/data": {}}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
					StopSignal: "SIGQUIT", Healthcheck: &v1.HealthConfig{Test: []string{"CMD"}}, OnBuild: []string{"RUN x"}, Shell: []string{"sh"},
				},
				History: []v1.History{{CreatedBy: "one"}, {CreatedBy: "ENV", EmptyLayer: true}, {CreatedBy: "two"}},
			},
		},
		lifecycle: layerNamed("3", types.OCIUncompressedLayer),
		droplet:   layerNamed("4", types.OCILayer),
		guid:      "droplet-guid",
	}
}

func TestAppImagesConfigAndManifest(t *testing.T) {
	g := NewWithT(t)
	manifest, content, err := exampleImage().render()
	g.Expect(err).NotTo(HaveOccurred())
	labels := map[string]string{
		"irene.cloudfoundry.org/stack": "cflinuxfs4", "irene.cloudfoundry.org/stack-digest": hashOf("a").String(),
		"irene.cloudfoundry.org/lifecycle-digest": hashOf("3").String(), "irene.cloudfoundry.org/revision": "rev",
		"irene.cloudfoundry.org/droplet-guid": "droplet-guid",
	}
	created := v1.Time{Time: time.Unix(1_700_000_000, 0).UTC()}
	var config v1.ConfigFile
	g.Expect(json.Unmarshal(content, &config)).To(Succeed())
	g.Expect(config).To(Equal(v1.ConfigFile{
		OS: "linux", Architecture: "arm64", Variant: "v8", OSVersion: "1", Created: created,
		Config: v1.Config{
			User: "2000:2000", WorkingDir: "/home/vcap", Entrypoint: []string{"/lifecycle/launch"}, Labels: labels,
			Env: []string{"PATH=/stack/bin", "HOME=/home/vcap/app", "STACK=yes", "LANG=en_US.UTF-8", "USER=vcap", "TMPDIR=/home/vcap/tmp"},
		},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{hashOf("1"), hashOf("2"), hashOf("3"), hashOf("4")}},
		History: []v1.History{{CreatedBy: "one"}, {CreatedBy: "ENV", EmptyLayer: true}, {CreatedBy: "two"},
			{Created: created, CreatedBy: "irene lifecycle"}, {Created: created, CreatedBy: "irene droplet droplet-guid"}},
	}))
	var parsed v1.Manifest
	g.Expect(json.Unmarshal(manifest.content, &parsed)).To(Succeed())
	g.Expect(parsed).To(Equal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: labels,
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(content)), Digest: digestOf(content)},
		Layers: []v1.Descriptor{
			{MediaType: types.OCILayer, Size: 10, Digest: hashOf("1")}, {MediaType: types.OCIUncompressedLayer, Size: 10, Digest: hashOf("2")},
			{MediaType: types.OCIUncompressedLayer, Size: 10, Digest: hashOf("3")}, {MediaType: types.OCILayer, Size: 10, Digest: hashOf("4")},
		},
	}))
	again, _, err := exampleImage().render()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(manifest))
}

func TestHistoryIsWholeOrLeftOut(t *testing.T) {
	g := NewWithT(t)
	image := exampleImage()
	image.base.config.History = image.base.config.History[:1]
	_, content, err := image.render()
	g.Expect(err).NotTo(HaveOccurred())
	var config v1.ConfigFile
	g.Expect(json.Unmarshal(content, &config)).To(Succeed())
	g.Expect(config.History).To(BeEmpty())
}

// Whoever makes other images of the same parts must make other revisions, too.
func TestImagesAndRevisionsNeverChange(t *testing.T) {
	g := NewWithT(t)
	manifest, _, err := exampleImage().render()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(manifest.digest.Hex).To(HavePrefix("7d86307a9c6c"))
	g.Expect(revisionOf(hashOf("1"), hashOf("2"))).To(Equal("6a08e662e5a7"))
	g.Expect(len(revisionOf(hashOf("1"), hashOf("2")))).To(BeNumerically("<=", 27), "what a tag has room for")
}

func TestDockersNamesOfLayersBecomeOCIs(t *testing.T) {
	g := NewWithT(t)
	for from, to := range map[types.MediaType]types.MediaType{
		types.DockerLayer: types.OCILayer, types.DockerUncompressedLayer: types.OCIUncompressedLayer,
		types.OCILayer: types.OCILayer, types.OCILayerZStd: types.OCILayerZStd,
	} {
		g.Expect(ociLayer(from)).To(Equal(to))
	}
}
