package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/irene-cf/irene/stager/steps"
)

// Output is where user code writes to.
type Output struct {
	Stdout *os.File
	Stderr *os.File
}

// Run runs the buildpacks and returns what it did. Everything that it says itself
// goes to output.Stdout, errors that the user must see to output.Stderr.
func Run(ctx context.Context, config steps.BuildConfig, output Output) ([]steps.Phase, error) {
	b := &builder{
		config: config,
		log:    steps.NewUserLog(output.Stdout),
		errors: steps.NewUserLog(output.Stderr),
	}
	err := b.run(ctx, output)
	return b.phases, err
}

type builder struct {
	config steps.BuildConfig
	log    *steps.UserLog
	errors *steps.UserLog
	phases []steps.Phase

	scripts *runner
	// used are the buildpacks that make the droplet, in order.
	used []*buildpack
	// detected is what bin/detect of the only used one printed.
	detected string
}

func (b *builder) path(name ...string) string {
	return filepath.Join(append([]string{b.config.Workspace}, name...)...)
}

func (b *builder) run(ctx context.Context, output Output) error {
	if err := b.markStart(); err != nil {
		return err
	}
	environment, home, err := b.environment()
	if err != nil {
		return err
	}
	b.scripts, err = newRunner(environment, home, output, b.config)
	if err != nil {
		return err
	}
	if err := b.listBuildpacks(); err != nil {
		return err
	}
	if err := b.choose(ctx); err != nil {
		return err
	}
	if err := b.makeFolders(); err != nil {
		return err
	}
	if err := b.supplyAndFinalize(ctx); err != nil {
		return err
	}
	processes, err := b.processes(ctx)
	if err != nil {
		return err
	}
	if err := b.scripts.killLeftovers(); err != nil {
		return err
	}
	return b.pack(ctx, processes)
}

// markStart makes the mark that keeps user code from being run twice.
func (b *builder) markStart() error {
	if err := os.MkdirAll(b.path(steps.OutFolder), 0o755); err != nil {
		return fmt.Errorf("make the folder for results: %w", err)
	}
	file, err := os.OpenFile(b.path(steps.OutFolder, steps.StartedFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return steps.Fail(steps.Interrupted, "the build was interrupted and is not run a second time; push the app again")
	}
	if err != nil {
		return fmt.Errorf("mark the build as started: %w", err)
	}
	return file.Close()
}

// listBuildpacks writes down what the build may use, for buildpacks that look.
func (b *builder) listBuildpacks() error {
	type listed struct {
		Name       string `json:"name"`
		Key        string `json:"key"`
		SkipDetect bool   `json:"skip_detect"`
	}
	list := []listed{}
	for _, buildpack := range b.config.Buildpacks {
		list = append(list, listed{buildpack.Name, buildpack.Key, buildpack.SkipDetect})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("list the buildpacks: %w", err)
	}
	if err := os.MkdirAll(b.path(steps.BuildpacksFolder), 0o755); err != nil {
		return fmt.Errorf("list the buildpacks: %w", err)
	}
	if err := os.WriteFile(b.path(steps.BuildpacksFolder, steps.BuildpacksFile), text, 0o644); err != nil {
		return fmt.Errorf("list the buildpacks: %w", err)
	}
	return nil
}

// makeFolders makes what the used buildpacks get, and removes the caches of others.
func (b *builder) makeFolders() error {
	folders := []string{b.path(steps.ProfileFolder)}
	caches := map[string]bool{}
	for i := range b.used {
		folders = append(folders, b.deps(i), b.cache(i))
		caches[b.cache(i)] = true
	}
	for _, old := range []string{steps.ContentsFolder, steps.FreshCacheFolder} {
		if err := os.RemoveAll(b.path(old)); err != nil {
			return fmt.Errorf("make the buildpacks' folders: %w", err)
		}
	}
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("make the buildpacks' folders: %w", err)
		}
	}
	there, err := os.ReadDir(b.path(steps.CacheFolder))
	if err != nil {
		return fmt.Errorf("tidy up the build cache: %w", err)
	}
	for _, entry := range there {
		cache := b.path(steps.CacheFolder, entry.Name())
		if caches[cache] {
			continue
		}
		if err := os.RemoveAll(cache); err != nil {
			return fmt.Errorf("tidy up the build cache: %w", err)
		}
	}
	return nil
}

// index is the name of a used buildpack's folder in DEPS.
func (b *builder) index(i int) string {
	return fmt.Sprintf("%0*d", len(strconv.Itoa(len(b.used))), i)
}

func (b *builder) deps(i int) string { return b.path(steps.DepsFolder, b.index(i)) }

// cache returns the folder of a used buildpack's cache. That of the last doesn't depend
// on which one it is, so that it outlives a new version of the buildpack. What is not in
// CacheFolder is not kept for the next build.
func (b *builder) cache(i int) string {
	switch {
	case i == len(b.used)-1:
		return b.path(steps.CacheFolder, "final")
	case b.used[i].FreshCache:
		return b.path(steps.FreshCacheFolder, b.index(i))
	}
	return b.path(steps.CacheFolder, steps.BuildpackFolder(b.used[i].Key))
}

func (b *builder) done(name string, began time.Time, size int64) {
	b.phases = append(b.phases, steps.Since(name, began, size))
}
