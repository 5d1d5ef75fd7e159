package bits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/irene-cf/irene/opi"
)

// parallelBlobs bounds the blobs of one image that are under way at a time.
const parallelBlobs = 4

// find looks for an image, and assembles it when it isn't there.
func (a *Assembler) find(ctx context.Context, f *flight) (Assembled, string, error) {
	f.at("asking the registry")
	stack, err := a.stackOf(ctx, f.request)
	if err != nil {
		return Assembled{}, "", err
	}
	target := a.target(f.request, stack)
	found := Assembled{Repository: target.RepositoryStr(), Tag: target.TagStr(), Stack: stack}
	if !f.repair {
		digest, there, err := a.registry.head(ctx, target)
		if err != nil {
			return Assembled{}, "", err
		}
		if found.Digest = digest; there {
			return found, outcomeFound, nil
		}
	}
	digest, err := a.assemble(ctx, f, stack, target)
	if errors.Is(err, errStackGone) {
		// It may have been replaced since it was looked at.
		fresh, freshErr := a.options.Stacks.Refresh(ctx, stack.Name)
		if freshErr != nil || fresh == stack {
			return Assembled{}, "", err
		}
		target = a.target(f.request, fresh)
		found.Tag, found.Stack = target.TagStr(), fresh
		digest, err = a.assemble(ctx, f, fresh, target)
	}
	if err != nil {
		return Assembled{}, "", err
	}
	found.Digest = digest
	return found, outcomeAssembled, nil
}

// stackOf is the stack that a request is about.
func (a *Assembler) stackOf(ctx context.Context, request AssemblyRequest) (Stack, error) {
	if request.Stack != "" {
		return a.options.Stacks.Current(ctx, request.Stack)
	}
	stored, err := a.stored(ctx, request.Droplet.Checksum)
	if err != nil && !errors.Is(err, opi.ErrNotFound) {
		return Stack{}, err
	}
	return a.options.Stacks.Current(ctx, stored.Stack)
}

// stored is a droplet's manifest, which hardly ever changes.
func (a *Assembler) stored(ctx context.Context, checksum opi.Checksum) (StoredDroplet, error) {
	if known, ok := a.droplets.Get(checksum.Value); ok && time.Since(known.at) < memory {
		return known.StoredDroplet, nil
	}
	stored, err := a.registry.Droplet(ctx, checksum)
	if err != nil {
		return StoredDroplet{}, err
	}
	a.droplets.Add(checksum.Value, knownDroplet{stored, time.Now()})
	return stored, nil
}

// assemble puts an image together. A droplet that the registry lacks, as a whole or
// its layer alone, is fetched.
func (a *Assembler) assemble(ctx context.Context, f *flight, stack Stack, target name.Tag) (v1.Hash, error) {
	stored, err := a.stored(ctx, f.request.Droplet.Checksum)
	if errors.Is(err, opi.ErrNotFound) {
		stored, err = a.fetch(ctx, f, false)
	}
	if err != nil {
		return v1.Hash{}, err
	}
	digest, err := a.compose(ctx, f, stack, stored, target)
	lost, ok := errors.AsType[*lostBlob](err)
	switch {
	case !ok:
		return digest, err
	case lost.repository != a.registry.droplets():
		return v1.Hash{}, fmt.Errorf("stack %s: %w until it is imported again: %w", stack.Name, opi.ErrUnavailable, err)
	}
	if stored, err = a.fetch(ctx, f, true); err != nil {
		return v1.Hash{}, err
	}
	return a.compose(ctx, f, stack, stored, target)
}

// fetch brings a droplet from the source into the registry.
func (a *Assembler) fetch(ctx context.Context, f *flight, renew bool) (StoredDroplet, error) {
	checksum := f.request.Droplet.Checksum
	if a.options.Source == nil {
		return StoredDroplet{}, dropletGone(fmt.Errorf("%w: droplet %s is not in the registry, and this platform fetches droplets from nowhere else; stage the app again", opi.ErrRefused, checksum.Value))
	}
	f.at("waiting for other droplets to be fetched")
	var release func()
	var stored StoredDroplet
	err := a.waitFor(f, func() (err error) {
		release, err = a.takeFetch(ctx, checksum)
		return err
	})
	if err != nil {
		return StoredDroplet{}, err
	}
	defer release()
	if !renew {
		// Another app's image may have needed the same droplet meanwhile.
		if stored, err = a.stored(ctx, checksum); !errors.Is(err, opi.ErrNotFound) {
			return stored, err
		}
	}
	f.at("fetching the droplet")
	push := DropletPush{Conversion: a.options.Conversion, Renew: renew}
	push.Conversion.Expect = []opi.Checksum{checksum}
	stored, err = a.registry.pushDroplet(ctx, push, func() (io.ReadCloser, error) {
		content, err := a.options.Source.Open(ctx, f.request.Droplet, f.request.ProcessGUID)
		if err != nil {
			return nil, err
		}
		f.costly = true
		return countedContent{content, a.registry.metrics.fetchedBytes}, nil
	})
	outcome := outcomeFetched
	switch {
	case errors.Is(err, opi.ErrRefused):
		outcome = outcomeRefused
	case err != nil:
		outcome = outcomeFailed
	default:
		a.droplets.Add(checksum.Value, knownDroplet{stored, time.Now()})
	}
	a.registry.metrics.fetches.WithLabelValues(outcome).Inc()
	return stored, err
}

// takeFetch waits until nothing else fetches the droplet, and then for one of the places.
func (a *Assembler) takeFetch(ctx context.Context, checksum opi.Checksum) (release func(), err error) {
	for {
		a.mu.Lock()
		other, busy := a.fetching[checksum.Value]
		done := make(chan struct{})
		if !busy {
			a.fetching[checksum.Value] = done
		}
		a.mu.Unlock()
		if !busy {
			leave := func() {
				a.mu.Lock()
				defer a.mu.Unlock()
				delete(a.fetching, checksum.Value)
				close(done)
			}
			free, err := occupy(ctx, a.fetches)
			if err != nil {
				leave()
				return nil, err
			}
			return func() { free(); leave() }, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the droplet: %w", context.Cause(ctx))
		}
	}
}

// dropletGone adds the message for a droplet that is nowhere.
func dropletGone(err error) error {
	return opi.WithMessage(err, "this platform does not have the app's droplet any more; stage the app again")
}

type countedContent struct {
	io.ReadCloser
	count prometheus.Counter
}

// Read is part of io.ReadCloser.
func (c countedContent) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.count.Add(float64(n))
	return n, err
}

// occupy waits for one of the places.
func occupy(ctx context.Context, places chan struct{}) (release func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a place: %w", context.Cause(ctx))
	}
}

// compose puts the layers, by mount wherever the registry can, and the config into
// the target's repository, and then writes the manifest under the target's tag.
func (a *Assembler) compose(ctx context.Context, f *flight, stack Stack, stored StoredDroplet, target name.Tag) (v1.Hash, error) {
	var release func()
	err := a.waitFor(f, func() (err error) {
		release, err = occupy(ctx, a.assemblies)
		return err
	})
	if err != nil {
		return v1.Hash{}, err
	}
	defer release()
	f.at("putting the layers together")
	base, err := a.registry.base(ctx, stack.Name, stack.Digest)
	if err != nil {
		return v1.Hash{}, err
	}
	lifecycle := a.options.Stacks.options.Lifecycle
	if !a.lifecycleSent.Load() {
		if err := a.registry.PushLifecycle(ctx, lifecycle); err != nil {
			return v1.Hash{}, err
		}
		a.lifecycleSent.Store(true)
	}
	image := appImage{
		stack: stack, base: base, guid: cmp.Or(f.request.Droplet.GUID, f.request.Droplet.Checksum.Value),
		lifecycle: lifecycle.imageLayer(), droplet: stored.imageLayer(),
	}
	manifest, config, err := image.render()
	if err != nil {
		return v1.Hash{}, err
	}
	var sent atomic.Int64
	err = a.registry.putImage(ctx, target, manifest, config, a.blobs(ctx, image, &sent),
		a.registry.stack(stack.Name), a.registry.lifecycle(), a.registry.droplets())
	if err != nil {
		return v1.Hash{}, err
	}
	a.registry.metrics.blobs.WithLabelValues(blobUploaded).Add(float64(sent.Load()))
	return manifest.digest, nil
}

// putImage puts layers, which may be mounted from other repositories, and the config
// into the target's repository, and then writes the manifest under the target's tag.
func (r *Registry) putImage(ctx context.Context, target name.Tag, manifest rawManifest, config []byte, layers []v1.Layer, mountedFrom ...name.Repository) error {
	doing := "write " + target.String()
	pusher, err := r.host.pusher(ctx, target.Context(), mountedFrom...)
	if err != nil {
		return r.failed(doing, err)
	}
	blobs := append(slices.Clone(layers), static.NewLayer(config, types.OCIConfigJSON))
	if err := upload(ctx, pusher, target.Context(), blobs); err != nil {
		return r.failed(doing, err)
	}
	if err := pusher.Put(ctx, target, manifest); err != nil {
		return r.failed(doing, err)
	}
	return nil
}

// tagAppImage makes a tag name an app image of the same repository. The error wraps errNotThere if
// there is no such image.
func (r *Registry) tagAppImage(ctx context.Context, repository string, image v1.Hash, tag string) error {
	target := r.appImages(repository).Tag(tag)
	digest, found, err := r.head(ctx, target)
	if err != nil || found && digest == image {
		return err
	}
	descriptor, err := r.get(ctx, target.Digest(image.String()))
	if err != nil {
		return err
	}
	pusher, err := r.host.pusher(ctx, target.Context())
	if err != nil {
		return r.failed("write "+target.String(), err)
	}
	if err := pusher.Put(ctx, target, rawManifest{content: descriptor.Manifest, digest: descriptor.Digest}); err != nil {
		return r.failed("write "+target.String(), err)
	}
	return nil
}

func upload(ctx context.Context, pusher *remote.Pusher, to name.Repository, blobs []v1.Layer) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelBlobs)
	for _, blob := range blobs {
		group.Go(func() error { return pusher.Upload(ctx, to, blob) })
	}
	return group.Wait()
}

// blobs are the image's layers, each where it can be mounted from. The lifecycle
// layer is at hand anyway, should the registry have lost it.
func (a *Assembler) blobs(ctx context.Context, image appImage, sent *atomic.Int64) []v1.Layer {
	blobs := a.registry.stackBlobs(ctx, image.stack, image.base)
	lifecycle := a.options.Stacks.options.Lifecycle
	return append(blobs,
		mountable(a.registry.lifecycle(), countedLayer{lifecycle.layer, sent}, lifecycle.digest),
		a.registry.stored(ctx, a.registry.droplets(), image.droplet))
}

// stackBlobs are a stack's layers, to be mounted.
func (r *Registry) stackBlobs(ctx context.Context, stack Stack, base baseImage) []v1.Layer {
	blobs := make([]v1.Layer, 0, len(base.layers))
	for _, layer := range base.layers {
		blobs = append(blobs, r.stored(ctx, r.stack(stack.Name), layer))
	}
	return blobs
}

// stored is a layer of another repository, to be mounted.
func (r *Registry) stored(ctx context.Context, from name.Repository, layer imageLayer) v1.Layer {
	return mountable(from, &storedBlob{ctx: ctx, registry: r, repository: from, layer: layer}, layer.descriptor.Digest)
}

func mountable(from name.Repository, layer v1.Layer, digest v1.Hash) v1.Layer {
	return &remote.MountableLayer{Layer: layer, Reference: from.Digest(digest.String())}
}

// storedBlob is a layer that another repository of the registry has. Its bytes are
// asked for only where the registry can't mount.
type storedBlob struct {
	ctx        context.Context
	registry   *Registry
	repository name.Repository
	layer      imageLayer
}

// lostBlob says that a blob which a manifest lists is gone.
type lostBlob struct {
	repository name.Repository
	digest     v1.Hash
}

func (l *lostBlob) Error() string {
	return fmt.Sprintf("the registry has lost %s@%s", l.repository, l.digest)
}

// Digest is part of v1.Layer.
func (b *storedBlob) Digest() (v1.Hash, error) { return b.layer.descriptor.Digest, nil }

// DiffID is part of v1.Layer.
func (b *storedBlob) DiffID() (v1.Hash, error) { return b.layer.diffID, nil }

// Size is part of v1.Layer.
func (b *storedBlob) Size() (int64, error) { return b.layer.descriptor.Size, nil }

// MediaType is part of v1.Layer.
func (b *storedBlob) MediaType() (types.MediaType, error) { return b.layer.descriptor.MediaType, nil }

// Uncompressed is part of v1.Layer; nobody uploads that.
func (b *storedBlob) Uncompressed() (io.ReadCloser, error) {
	return nil, errors.New("a stored blob is only read as it is")
}

// Compressed is part of v1.Layer.
func (b *storedBlob) Compressed() (io.ReadCloser, error) {
	puller, err := b.registry.host.puller(b.ctx, b.repository)
	if err != nil {
		return nil, err
	}
	layer, err := puller.Layer(b.ctx, b.repository.Digest(b.layer.descriptor.Digest.String()))
	if err != nil {
		return nil, err
	}
	content, err := layer.Compressed()
	if isNotFound(err) {
		return nil, &lostBlob{b.repository, b.layer.descriptor.Digest}
	}
	if err == nil {
		b.registry.metrics.blobs.WithLabelValues(blobCopied).Inc()
	}
	return content, err
}
