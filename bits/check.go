package bits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/irene-cf/irene/opi"
)

// doctorRepository has a tiny image, tagged latest. It can't be taken for a droplet's,
// whose tags have a revision.
const doctorRepository = "doctor"

// ErrCredentials is wrapped where a registry refuses who asks: the password is wrong, or
// the account may not do what was tried.
var ErrCredentials = errors.New("the registry refuses the credentials")

// CheckedImage is an image with which a registry was tried.
type CheckedImage struct {
	// Reference is its full name.
	Reference string
	Digest    v1.Hash
}

// Check pushes a tiny image as Irene pushes others, and reads it back. It is another one
// each time, because what a registry has is not sent; the one before loses its tag. The
// error wraps ErrCredentials where those are at fault.
func (r *Registry) Check(ctx context.Context) (CheckedImage, error) {
	image, err := doctorImage(r.host.platform, time.Now())
	if err != nil {
		return CheckedImage{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return CheckedImage{}, err
	}
	tag := r.repository(doctorRepository).Tag(currentTag)
	if err := r.pushImage(ctx, image, tag); err != nil {
		return CheckedImage{}, checkFailed("push "+tag.String(), err)
	}
	return CheckedImage{Reference: tag.String(), Digest: digest}, r.host.checkPull(ctx, r.prefix, digest)
}

// PullOptions is how nodes pull.
type PullOptions struct {
	// Address is host[:port], as nodes reach the registry; with TLS or without, since
	// that is a matter of their container runtimes.
	Address string
	// Prefix is that of the Registry.
	Prefix string
	// CAFile holds authorities that are trusted beside the machine's.
	CAFile string
	// Credentials may be nil.
	Credentials *opi.RegistryCredentials
}

// CheckPull reads the image of Check as a node would, from this machine. The error wraps
// ErrCredentials where those are at fault.
func CheckPull(ctx context.Context, o PullOptions, image CheckedImage) error {
	auth := authn.Anonymous
	if o.Credentials != nil {
		auth = &authn.Basic{Username: o.Credentials.Username, Password: o.Credentials.Password}
	}
	host, err := newRegistryHost(RegistryOptions{Address: o.Address, PlainHTTP: true, CAFile: o.CAFile}.hostOptions(auth), newRegistryMetrics())
	if err != nil {
		return err
	}
	return host.checkPull(ctx, o.Prefix, image.Digest)
}

// ErrOtherRegistry is wrapped where a registry does not have what was just pushed.
var ErrOtherRegistry = errors.New("it is not there although it was just pushed: this is another registry")

// checkPull reads manifest and layer.
func (h *registryHost) checkPull(ctx context.Context, prefix string, want v1.Hash) error {
	reference := h.name.Repo(prefix, doctorRepository).Digest(want.String())
	doing := "pull " + reference.String()
	puller, err := h.puller(ctx, reference.Context())
	if err != nil {
		return checkFailed(doing, err)
	}
	found, err := puller.Get(ctx, reference)
	switch {
	case isNotFound(err):
		return fmt.Errorf("%s: %w", doing, ErrOtherRegistry)
	case err != nil:
		return checkFailed(doing, err)
	}
	image, err := found.Image()
	if err != nil {
		return checkFailed(doing, err)
	}
	layers, err := image.Layers()
	if err != nil {
		return checkFailed(doing, err)
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err != nil {
			return checkFailed(doing, err)
		}
		_, err = io.Copy(io.Discard, content)
		if err := errors.Join(err, content.Close()); err != nil {
			return checkFailed(doing, err)
		}
	}
	return nil
}

func checkFailed(doing string, err error) error {
	answer, answered := errors.AsType[*transport.Error](err)
	if answered && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("%s: %w: %w", doing, ErrCredentials, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// doctorImage has one layer, an empty archive.
func doctorImage(platform v1.Platform, at time.Time) (v1.Image, error) {
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		static.NewLayer(make([]byte, 1024), types.OCIUncompressedLayer))
	if err != nil {
		return nil, err
	}
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: at.UTC()}
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	return mutate.ConfigFile(image, config)
}
