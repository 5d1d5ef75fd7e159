package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/irene-cf/irene/stager/steps"
)

// buildpack is a buildpack whose folder was found.
type buildpack struct {
	steps.BuildBuildpack
	// folder has bin in it.
	folder string
}

// String is what users call it.
func (p buildpack) String() string {
	if p.Name == "" || p.Name == "custom" {
		return p.Key
	}
	return p.Name
}

// findBuildpack finds a buildpack's scripts, in its folder or in the only folder
// there that has any: archives of git hosts have everything below one folder.
func (b *builder) findBuildpack(wanted steps.BuildBuildpack) (*buildpack, error) {
	found := &buildpack{BuildBuildpack: wanted}
	folder := b.path(steps.BuildpackPath(wanted.Key))
	if hasScripts(folder) {
		found.folder = folder
		return found, nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("buildpack %s is not there", found)
	}
	for _, entry := range entries {
		below := filepath.Join(folder, entry.Name())
		if !hasScripts(below) {
			continue
		}
		if found.folder != "" {
			return nil, fmt.Errorf("buildpack %s has more than one folder with a bin folder", found)
		}
		found.folder = below
	}
	if found.folder == "" {
		if slices.ContainsFunc(entries, func(entry os.DirEntry) bool { return strings.Contains(entry.Name(), `\`) }) {
			return nil, fmt.Errorf("buildpack %s has no bin folder: the names in its archive have backslashes where folders end; pack it again with slashes", found)
		}
		return nil, fmt.Errorf("buildpack %s has no bin folder", found)
	}
	return found, nil
}

func hasScripts(folder string) bool {
	info, err := os.Stat(filepath.Join(folder, "bin"))
	return err == nil && info.IsDir()
}

// script is the path of one of the buildpack's scripts.
func (p buildpack) script(name string) string { return filepath.Join(p.folder, "bin", name) }

// has tells whether the buildpack has a script.
func (p buildpack) has(name string) bool {
	info, err := os.Stat(p.script(name))
	return err == nil && info.Mode().IsRegular()
}

// makeExecutable mends a script that lost its mode, as it happens on the way through
// Windows.
func (p buildpack) makeExecutable(name string) error {
	path := p.script(name)
	info, err := os.Stat(path)
	if err != nil {
		return errors.New("there is no such script")
	}
	if info.Mode().Perm()&0o111 != 0 {
		return nil
	}
	if err := os.Chmod(path, info.Mode().Perm()|0o755); err != nil {
		return errors.New("it is not executable")
	}
	return nil
}
