package main

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

// registryStore keeps droplets in the registry.
type registryStore struct {
	registry *bits.Registry
	limits   steps.Limits
}

func newRegistryStore(config steps.PushConfig) (*registryStore, error) {
	registry, err := bits.NewRegistry(bits.RegistryOptions{
		Address:      config.Registry.Address,
		Prefix:       config.Registry.Prefix,
		PlainHTTP:    config.Registry.PlainHTTP,
		CAFile:       config.Registry.CAFile,
		UsernameFile: config.Registry.UsernameFile,
		PasswordFile: config.Registry.PasswordFile,
		SpoolDir:     config.Registry.SpoolDir,
	})
	if err != nil {
		return nil, err
	}
	return &registryStore{registry: registry, limits: config.Limits.WithDefaults()}, nil
}

// Push implements steps.DropletStore.
func (s *registryStore) Push(ctx context.Context, file *io.SectionReader, d steps.Droplet) (string, error) {
	stored, err := s.registry.PushDroplet(ctx, file, bits.DropletPush{
		Stack:   d.Stack,
		Result:  d.Result,
		AsBuild: true,
		Conversion: droplet.Options{
			MaxUncompressedBytes: s.limits.UnpackedBytes,
			MaxEntries:           s.limits.Entries,
			Expect:               []opi.Checksum{{Algorithm: "sha1", Value: d.SHA1}, {Algorithm: "sha256", Value: d.SHA256}},
		},
	})
	if answer, ok := errors.AsType[*transport.Error](err); ok && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		// Somebody has to correct the credentials; the text says so.
		return "", steps.Because(steps.RegistryFailed, err, "failed to store the droplet in the registry")
	}
	if err != nil {
		return "", err
	}
	return stored.Digest.String(), nil
}
