package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"

	"github.com/irene-cf/irene/bits/registry/store"
)

// The library finds storage drivers by name and makes them itself. Ours is handed
// through as a parameter, since it is one per directory.
const (
	openStoreDriver = "irene"
	openStoreKey    = "store"
)

func init() { factory.Register(openStoreDriver, openStore{}) }

type openStore struct{}

// Create implements factory.StorageDriverFactory.
func (openStore) Create(_ context.Context, parameters map[string]any) (storagedriver.StorageDriver, error) {
	opened, ok := parameters[openStoreKey].(*store.Store)
	if !ok {
		return nil, errors.New("the driver's parameter is not an open store")
	}
	return opened, nil
}

// maxListed is how many tags or repositories one answer names; clients ask for more
// by themselves.
const maxListed = 1000

// newLibraryHandler makes the library's application. It has neither users nor a
// cache of blobs' sizes: the store has to be asked each time, see there.
func newLibraryHandler(opened *store.Store) (handler http.Handler, err error) {
	// The library panics for what it can't use.
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("make the registry's handler: %v", reason)
		}
	}()
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			openStoreDriver: {openStoreKey: opened},
			"delete":        {"enabled": true},
			"redirect":      {"disable": true},
			// Package store purges by the time of the last byte, which spares long
			// uploads and finds broken ones.
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		},
		Catalog: configuration.Catalog{MaxEntries: maxListed},
		Tags:    configuration.Tags{MaxTags: maxListed},
	}
	// Locations are relative, because clients come by different addresses.
	config.HTTP.RelativeURLs = true
	// It signs the state of uploads, which end with the process.
	config.HTTP.Secret = rand.Text()
	return handlers.NewApp(context.Background(), config), nil
}
