package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/irene-cf/irene/fixtures/helloapp"
)

// helloName is the app that "up" pushes from source.
const helloName = "hello"

// pushHello pushes the hello app, unless what runs was made of the same source.
func (c *cloud) pushHello(ctx context.Context, out io.Writer) error {
	sum := sha256.New()
	if _, err := archiveSource(helloapp.Files(), sum); err != nil {
		return fmt.Errorf("pack the %s app: %w", helloName, err)
	}
	app, err := c.pushedApp(helloName)
	if err != nil {
		return err
	}
	if app.Source == hex.EncodeToString(sum.Sum(nil)) {
		fmt.Fprintf(out, "The %s app is as it was pushed.\n", helloName)
		return nil
	}
	fmt.Fprintf(out, "Now the %s app is pushed from source:\n", helloName)
	return c.push(ctx, pushOptions{
		options: c.options, source: helloapp.Files(), path: "the files of fixtures/helloapp", name: helloName,
		memoryMB: helloMemoryMB, diskMB: defaultDiskMB, door: bbsDoor,
	}, out)
}

const helloMemoryMB = 64
