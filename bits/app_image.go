package bits

import (
	"encoding/json"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Labels of an app image's config and annotations of its manifest.
const (
	// LabelStack is the stack's name, LabelStackDigest its image's digest.
	LabelStack       = "irene.cloudfoundry.org/stack"
	LabelStackDigest = "irene.cloudfoundry.org/stack-digest"
	// LabelLifecycleDigest is the digest of the layer of /lifecycle/launch.
	LabelLifecycleDigest = "irene.cloudfoundry.org/lifecycle-digest"
	// LabelRevision is the revision that stands in the image's tag.
	LabelRevision = "irene.cloudfoundry.org/revision"
	// LabelDroplet is Cloud Controller's guid of the droplet, or its checksum if it has none.
	LabelDroplet = "irene.cloudfoundry.org/droplet-guid"
)

const (
	// composition is part of every revision: whoever changes what an app image is
	// made of, other than the layers, changes it, because tags keep their meaning.
	composition = "irene app image 1"

	appUser    = "2000:2000"
	appWorkDir = "/home/vcap"
)

// appEnvironment are the variables that a pod of a buildpack app sets too, for whom
// runs the image by other means. The stack's own go before for the first two.
var appEnvironment = []struct{ name, value string }{
	{"PATH", "/usr/local/bin:/usr/bin:/bin"},
	{"LANG", "en_US.UTF-8"},
	{"HOME", "/home/vcap/app"},
	{"USER", "vcap"},
	{"TMPDIR", "/home/vcap/tmp"},
}

var stackMayChoose = []string{"PATH", "LANG"}

// revisionOf tells app images of one droplet apart: a short digest of all that they
// don't have from the droplet. It depends on nothing else, so every replica, today
// and after a restart, finds the same.
func revisionOf(stack, lifecycle v1.Hash) string {
	sum := digestOf([]byte(composition + "\n" + stack.String() + "\n" + lifecycle.String() + "\n"))
	return sum.Hex[:shortDigits]
}

// appImage is what an app image is made of.
type appImage struct {
	stack     Stack
	base      baseImage
	lifecycle imageLayer
	droplet   imageLayer
	guid      string
}

func (i appImage) layers() []imageLayer {
	return append(slices.Clone(i.base.layers), i.lifecycle, i.droplet)
}

// render makes manifest and config. The same parts make the same bytes.
func (i appImage) render() (manifest rawManifest, config []byte, err error) {
	labels := map[string]string{
		LabelStack: i.stack.Name, LabelStackDigest: i.stack.Digest.String(),
		LabelLifecycleDigest: i.lifecycle.diffID.String(), LabelRevision: i.stack.Revision, LabelDroplet: i.guid,
	}
	return renderOnStack(i.base, v1.Config{
		User:       appUser,
		WorkingDir: appWorkDir,
		Entrypoint: []string{"/" + launchPath},
		Env:        environmentOf(i.base.config.Config.Env),
		Labels:     labels,
	}, i.layers(), "irene lifecycle", "irene droplet "+i.guid)
}

// renderOnStack makes manifest and config of an image that consists of a stack's
// layers and more; layers are all of them, and further says how each of those that
// are not the stack's came to be. From the stack's config comes what says where it
// runs and how it came to be, and nothing of what it would do as an image of its own:
// ports, volumes, commands and checks.
func renderOnStack(base baseImage, run v1.Config, layers []imageLayer, further ...string) (manifest rawManifest, config []byte, err error) {
	from := base.config
	file := v1.ConfigFile{
		Architecture: from.Architecture, OS: from.OS, OSVersion: from.OSVersion, OSFeatures: from.OSFeatures, Variant: from.Variant,
		Created: from.Created,
		Config:  run,
		RootFS:  v1.RootFS{Type: "layers"},
	}
	for _, layer := range layers {
		file.RootFS.DiffIDs = append(file.RootFS.DiffIDs, layer.diffID)
	}
	// History is there for all layers or for none.
	if historyOf(from) == len(base.layers) {
		file.History = slices.Clone(from.History)
		for _, how := range further {
			file.History = append(file.History, v1.History{Created: from.Created, CreatedBy: how})
		}
	}
	if config, err = json.Marshal(file); err != nil {
		return rawManifest{}, nil, err
	}
	content := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(config)), Digest: digestOf(config)},
		Annotations:   run.Labels,
	}
	for _, layer := range layers {
		content.Layers = append(content.Layers, layer.descriptor)
	}
	manifest, err = newRawManifest(content)
	return manifest, config, err
}

// historyOf counts the layers that a config tells the history of.
func historyOf(config v1.ConfigFile) int {
	layers := 0
	for _, step := range config.History {
		if !step.EmptyLayer {
			layers++
		}
	}
	return layers
}

func environmentOf(stack []string) []string {
	variables := slices.Clone(stack)
	for _, variable := range appEnvironment {
		at := slices.IndexFunc(variables, func(set string) bool { return strings.HasPrefix(set, variable.name+"=") })
		switch {
		case at < 0:
			variables = append(variables, variable.name+"="+variable.value)
		case !slices.Contains(stackMayChoose, variable.name):
			variables[at] = variable.name + "=" + variable.value
		}
	}
	return variables
}
