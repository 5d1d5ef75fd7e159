package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/irene-cf/irene/fixtures/droplet"
)

const (
	preferredBlobstore = "127.0.0.1:8083"
	// blobstoreName is the log of the blobstore.
	blobstoreName = "blobstore"
	blobstoreStop = 10 * time.Second
)

// serveDroplet does what staging does in a real cloud: it turns the sample app into
// a droplet and leaves it in a blobstore, from which Irene fetches it.
func (c *cloud) serveDroplet(ctx context.Context) (string, error) {
	program, err := os.ReadFile(c.program(sampleProgram))
	if err != nil {
		return "", err
	}
	content, err := droplet.Pack(sampleCommand, droplet.Program("./app/"+sampleProgram, program))
	if err != nil {
		return "", fmt.Errorf("make the droplet: %w", err)
	}
	packed := droplet.Of(content)
	c.image.dropletHash = packed.Hash
	// A droplet keeps its guid for as long as it is the same.
	c.image.dropletGUID = uuid.NewSHA1(uuid.NameSpaceURL, []byte("irene-dev:droplet:"+packed.Hash)).String()
	if err := c.storeDroplet(content); err != nil {
		return "", fmt.Errorf("store the droplet: %w", err)
	}
	if !c.state.Blobstore.alive() {
		if err := chooseAddress(&c.state.BlobstoreAddress, preferredBlobstore); err != nil {
			return "", err
		}
	}
	o := blobstoreOptions{address: c.state.BlobstoreAddress, content: c.at(dropletsName)}
	note, err := c.keep(ctx, service{
		name: blobstoreName, process: &c.state.Blobstore, program: c.program(devProgram), args: o.arguments(),
		configured: func() (bool, error) { return true, nil }, configure: func() error { return nil },
		readyURL: "http://" + c.state.BlobstoreAddress + "/", stop: blobstoreStop,
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.1f MB; the blobstore %s", float64(len(content))/1e6, note), nil
}

// storeDroplet puts the droplet where the blobstore finds it, and takes away those of
// earlier builds of the sample app.
func (c *cloud) storeDroplet(content []byte) error {
	present, err := os.ReadDir(c.at(dropletsName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, other := range present {
		if other.Name() != c.image.dropletGUID {
			if err := os.RemoveAll(c.at(dropletsName, other.Name())); err != nil {
				return err
			}
		}
	}
	file := c.at(dropletsName, c.image.dropletGUID, c.image.dropletHash)
	if info, err := os.Stat(file); err == nil && info.Size() == int64(len(content)) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	// Half a droplet must never be served.
	if err := os.WriteFile(file+newSuffix, content, 0o644); err != nil {
		return err
	}
	return os.Rename(file+newSuffix, file)
}

// dropletURL is where a droplet is found, with Irene's place holders for guid and hash.
func (c *cloud) dropletURL(guid, hash string) string {
	return "http://" + c.state.BlobstoreAddress + "/" + guid + "/" + hash
}
