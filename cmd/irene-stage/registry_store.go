package main

import (
	"context"
	"io"

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
		Stack:  d.Stack,
		Result: d.Result,
		Conversion: droplet.Options{
			MaxUncompressedBytes: s.limits.UnpackedBytes,
			MaxEntries:           s.limits.Entries,
			Expect:               []opi.Checksum{{Algorithm: "sha1", Value: d.SHA1}, {Algorithm: "sha256", Value: d.SHA256}},
		},
	})
	if err != nil {
		return "", err
	}
	return stored.Digest.String(), nil
}
