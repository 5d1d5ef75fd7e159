package bits

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// stagePath is where a staging pod finds its program.
	stagePath = "lifecycle/irene-stage"
	// buildComposition is to images of builds what composition is to app images.
	buildComposition = "irene build image 1"
	// maxKnownBuilds bounds the images that are remembered, one for each revision of
	// each stack.
	maxKnownBuilds = 64
	// LabelStageDigest is the digest of the layer of /lifecycle/irene-stage.
	LabelStageDigest = "irene.cloudfoundry.org/stage-digest"
)

// StageProgram is the layer of /lifecycle/irene-stage, with a folder for temporary
// files. It belongs to a release of Irene.
type StageProgram struct{ programLayer }

// LoadStageProgram makes the layer from the program at path.
func LoadStageProgram(path string) (*StageProgram, error) {
	temporary := tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}
	layer, err := loadProgramLayer(path, stagePath, temporary, lifecycleFolder)
	if err != nil {
		return nil, fmt.Errorf("make the layer of the staging program: %w", err)
	}
	return &StageProgram{layer}, nil
}

// StagingImages makes sure that the images of staging pods are in the registry. It may
// be used by many goroutines, and owns none beyond a call.
type StagingImages struct {
	stacks   *Stacks
	registry *Registry
	program  *StageProgram
	running  singleflight.Group
	// known are tags that were seen, and when.
	known *lru.Cache[string, time.Time]
}

// StagingImage is what a staging pod is made of: repositories with their tags, such as
// cloudfoundry/stage:0123456789ab, without the registry's address. A tag never changes
// its meaning.
type StagingImage struct {
	// Stack is what the app is built on.
	Stack Stack
	// Build has the stack and irene-stage.
	Build string
	// Tool has irene-stage and nothing else.
	Tool string
}

// NewStagingImages sends nothing yet.
func NewStagingImages(stacks *Stacks, program *StageProgram) (*StagingImages, error) {
	known, err := lru.New[string, time.Time](maxKnownBuilds)
	if err != nil {
		return nil, err
	}
	return &StagingImages{stacks: stacks, registry: stacks.options.Registry, program: program, known: known}, nil
}

// Ensure makes sure that the images for a build on a stack, "" being the default one,
// can be pulled. The error wraps opi.ErrRefused for a stack that there is not, and
// opi.ErrUnavailable where it may succeed later. Images that were seen within the last
// five minutes cost no request.
func (s *StagingImages) Ensure(ctx context.Context, stackName string) (StagingImage, error) {
	stack, err := s.stacks.Current(ctx, stackName)
	if err != nil {
		return StagingImage{}, err
	}
	tool := s.registry.stage().Tag(s.program.digest.Hex[:shortDigits])
	if err := s.ensure(ctx, tool, func(ctx context.Context) error { return s.pushTool(ctx, tool) }); err != nil {
		return StagingImage{}, err
	}
	build := s.buildTag(stack)
	err = s.ensure(ctx, build, func(ctx context.Context) error { return s.compose(ctx, stack, build, tool.Context()) })
	if errors.Is(err, errStackGone) {
		// It may have been replaced since it was looked at.
		fresh, freshErr := s.stacks.Refresh(ctx, stack.Name)
		if freshErr != nil || fresh == stack {
			return StagingImage{}, err
		}
		stack, build = fresh, s.buildTag(fresh)
		err = s.ensure(ctx, build, func(ctx context.Context) error { return s.compose(ctx, stack, build, tool.Context()) })
	}
	if err != nil {
		return StagingImage{}, err
	}
	return StagingImage{Stack: stack, Build: pathAndTag(build), Tool: pathAndTag(tool)}, nil
}

func pathAndTag(tag name.Tag) string { return tag.RepositoryStr() + ":" + tag.TagStr() }

// buildTag says what a build's image is made of, as revisionOf does for apps.
func (s *StagingImages) buildTag(stack Stack) name.Tag {
	sum := digestOf([]byte(buildComposition + "\n" + stack.Digest.String() + "\n" + s.program.digest.String() + "\n"))
	return s.registry.builds(stack.Name).Tag(sum.Hex[:shortDigits])
}

// ensure looks for a tag, and puts it there when it is missing; once for all who ask at
// the same time. The work outlives a caller that leaves.
func (s *StagingImages) ensure(ctx context.Context, tag name.Tag, put func(context.Context) error) error {
	key := pathAndTag(tag)
	if seen, ok := s.known.Get(key); ok && time.Since(seen) < memory {
		return nil
	}
	shared := s.running.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), DefaultAssemblyTimeout)
		defer cancel()
		_, there, err := s.registry.head(ctx, tag)
		if err != nil {
			return nil, err
		}
		if !there {
			if err := put(ctx); err != nil {
				return nil, err
			}
		}
		s.known.Add(key, time.Now())
		return nil, nil
	})
	select {
	case outcome := <-shared:
		return outcome.Err
	case <-ctx.Done():
		return s.registry.failed("make sure of "+tag.String(), context.Cause(ctx))
	}
}

func (s *StagingImages) pushTool(ctx context.Context, tag name.Tag) error {
	image, err := rootFSImage(s.program.layer, s.registry.host.platform)
	if err == nil {
		image, err = mutate.Config(image, v1.Config{
			User:       appUser,
			Entrypoint: []string{"/" + stagePath},
			Env:        []string{"HOME=/tmp", "USER=vcap"},
			Labels:     map[string]string{LabelStageDigest: s.program.digest.String()},
		})
	}
	if err != nil {
		return fmt.Errorf("make the image of the staging program: %w", err)
	}
	if err := s.registry.pushImage(ctx, image, tag); err != nil {
		return s.registry.failed("write "+tag.String(), err)
	}
	return nil
}

// compose puts the image of a build together from the stack's layers and the program's,
// by mount wherever the registry can.
func (s *StagingImages) compose(ctx context.Context, stack Stack, target name.Tag, tool name.Repository) error {
	base, err := s.registry.base(ctx, stack.Name, stack.Digest)
	if err != nil {
		return err
	}
	manifest, config, err := renderOnStack(base, v1.Config{
		User:       appUser,
		WorkingDir: "/tmp",
		Entrypoint: []string{"/" + stagePath},
		Env:        base.config.Config.Env,
		Labels: map[string]string{
			LabelStack: stack.Name, LabelStackDigest: stack.Digest.String(), LabelStageDigest: s.program.digest.String(),
		},
	}, append(slices.Clone(base.layers), s.program.imageLayer()), "irene staging program")
	if err != nil {
		return fmt.Errorf("make %s: %w", target, err)
	}
	var sent atomic.Int64
	layers := append(s.registry.stackBlobs(ctx, stack, base), mountable(tool, countedLayer{s.program.layer, &sent}, s.program.digest))
	if err := s.registry.putImage(ctx, target, manifest, config, layers, s.registry.stack(stack.Name), tool); err != nil {
		return err
	}
	s.registry.metrics.blobs.WithLabelValues(blobUploaded).Add(float64(sent.Load()))
	return nil
}
