package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// pushedApp is an app that was pushed and runs, as it is written down.
type pushedApp struct {
	Name, GUID, Version string
	// Droplet is the guid of its droplet, Source the SHA-256 of its package.
	Droplet, Source string
	// Requests are those by which its processes were desired, by process guid.
	Requests map[string][]byte
}

// appGUID is the same for every push of a name.
func appGUID(name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("irene-dev:app:"+name)).String()
}

// processGUID is the guid of a process without version.
func processGUID(name, processType string) string {
	if processType == webProcess {
		return appGUID(name)
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("irene-dev:app:"+name+":"+processType)).String()
}

// has is whether a guid is that of one of the app's processes.
func (a pushedApp) has(guid string) bool {
	for process := range a.Requests {
		if strings.HasPrefix(process, guid+"-") {
			return true
		}
	}
	return false
}

func (f *folder) appFile(name string) string { return f.at(appsName, name+".json") }

// pushedApp is what is known of an app, a zero one if nothing is.
func (f *folder) pushedApp(name string) (pushedApp, error) {
	content, err := os.ReadFile(f.appFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return pushedApp{}, nil
	}
	var app pushedApp
	if err == nil {
		err = json.Unmarshal(content, &app)
	}
	if err != nil {
		return pushedApp{}, fmt.Errorf("what was pushed as %s: %w", name, err)
	}
	return app, nil
}

// pushedApps are all that were pushed, by name.
func (f *folder) pushedApps() ([]pushedApp, error) {
	files, err := filepath.Glob(f.appFile("*"))
	if err != nil {
		return nil, err
	}
	var apps []pushedApp
	for _, file := range files {
		app, err := f.pushedApp(strings.TrimSuffix(filepath.Base(file), ".json"))
		if err != nil {
			return nil, err
		}
		apps = append(apps, app)
	}
	return apps, nil
}

// remember writes an app down, as a whole. Its requests may hold secrets.
func (f *folder) remember(app pushedApp) error {
	content, err := json.Marshal(app)
	if err != nil {
		return fmt.Errorf("write down %s: %w", app.Name, err)
	}
	file := f.appFile(app.Name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("write down %s: %w", app.Name, err)
	}
	if err := os.WriteFile(file+newSuffix, content, 0o600); err != nil {
		return fmt.Errorf("write down %s: %w", app.Name, err)
	}
	return os.Rename(file+newSuffix, file)
}

// desirePushed asks Irene again for all that was pushed, as Cloud Controller does all
// the time: what is gone comes back, and what is there stays as it is.
func (c *cloud) desirePushed(ctx context.Context) (string, error) {
	apps, err := c.pushedApps()
	if err != nil || len(apps) == 0 {
		return "none so far", err
	}
	var names []string
	for _, app := range apps {
		for _, process := range slices.Sorted(maps.Keys(app.Requests)) {
			if err := c.desire(ctx, process, app.Requests[process]); err != nil {
				return "", fmt.Errorf("%s: %w", app.Name, err)
			}
		}
		names = append(names, app.Name)
	}
	return strings.Join(names, ", "), nil
}
