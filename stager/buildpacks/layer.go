package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/archive"
)

// scripts are what a build runs of a buildpack.
var scripts = []string{"detect", "supply", "finalize", "compile", "release"}

// writeLayer unpacks an archive to a folder that is made for it, and packs it into the
// file of the layer. The same content makes the same layer.
func writeLayer(ctx context.Context, file io.ReaderAt, size int64, folder, layer string, limits steps.Limits) error {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	rules := archive.Rules{Bytes: limits.UnpackedBytes, Entries: limits.Entries}
	if _, err := archive.Unpack(ctx, file, size, folder, rules); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	if err := mendScripts(root); err != nil {
		return fmt.Errorf("make its scripts executable: %w", err)
	}
	to, err := os.OpenFile(layer, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make the layer: %w", err)
	}
	_, err = archive.Pack(ctx, to, []archive.Part{{Name: ".", Folder: root, Untimed: true}})
	if err := errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("make the layer: %w", err)
	}
	return nil
}

// mendScripts makes scripts executable that lost their mode, as it happens on the way
// through Windows; in the folder itself or in one below, where archives of git hosts
// have everything.
func mendScripts(root *os.Root) error {
	places := []string{"bin"}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			places = append(places, path.Join(entry.Name(), "bin"))
		}
	}
	for _, place := range places {
		for _, script := range scripts {
			name := path.Join(place, script)
			info, err := root.Stat(name)
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 != 0 {
				continue // what is not there, or not a script, is the build's to say
			}
			if err := root.Chmod(name, info.Mode().Perm()|0o755); err != nil {
				return err
			}
		}
	}
	return nil
}
