package bits

import (
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
)

// parseImage reads an image reference as kubelet does. go-containerregistry's own
// parser takes "localhost/app" for a repository of Docker Hub, and accepts names that
// kubelet refuses.
func parseImage(text string, options ...name.Option) (name.Reference, error) {
	named, err := reference.ParseDockerRef(text)
	if err != nil {
		return nil, err
	}
	registry, err := name.NewRegistry(reference.Domain(named), options...)
	if err != nil {
		return nil, err
	}
	repository := registry.Repo(reference.Path(named))
	if digested, ok := named.(reference.Digested); ok {
		return repository.Digest(digested.Digest().String()), nil
	}
	tagged, _ := named.(reference.Tagged) // ParseDockerRef adds "latest"
	return repository.Tag(tagged.Tag()), nil
}
