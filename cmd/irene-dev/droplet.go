package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/stager/steps"
)

// storeSampleDroplet turns the sample app, a program, into a droplet without staging,
// as for an app that was staged elsewhere: Irene fetches it when the app is desired.
func (c *cloud) storeSampleDroplet(context.Context) (string, error) {
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
	return steps.Size(int64(len(content))), nil
}

// storeDroplet puts the sample app's droplet where the stand-in of Cloud Controller
// keeps droplets, and takes away that of an earlier build of the sample app.
func (c *cloud) storeDroplet(content []byte) error {
	file := c.dropletFile(c.image.dropletGUID, c.image.dropletHash)
	if info, err := os.Stat(file); err != nil || info.Size() != int64(len(content)) {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		// Half a droplet must never be served.
		if err := os.WriteFile(file+newSuffix, content, 0o644); err != nil {
			return err
		}
		if err := os.Rename(file+newSuffix, file); err != nil {
			return err
		}
	}
	earlier := c.state.SampleDroplet
	if earlier == c.image.dropletGUID {
		return nil
	}
	c.state.SampleDroplet = c.image.dropletGUID
	if err := c.saveState(c.state); err != nil || earlier == "" {
		return err
	}
	return os.RemoveAll(c.dropletFile(earlier))
}
