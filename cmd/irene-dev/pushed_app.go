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

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// pushedApp is an app that was pushed and runs, as it is written down.
type pushedApp struct {
	Name, GUID, Version string
	// Droplet is the guid of its droplet, Source the SHA-256 of its package.
	Droplet, Source string
	// Door is the name of the front door by which its processes were desired.
	Door string `json:",omitempty"`
	// Processes are as they were desired last.
	Processes []cloudcontroller.Process `json:",omitempty"`
	// Requests were written by older irene-devs in place of Processes: what the OPI door was
	// sent, by process guid.
	Requests map[string][]byte `json:",omitempty"`
}

// complete makes processes of what an older irene-dev wrote.
func (a *pushedApp) complete() error {
	if a.Name == "" || a.Door != "" {
		return nil
	}
	a.Door = opiDoor
	for _, name := range slices.Sorted(maps.Keys(a.Requests)) {
		process, err := processOfRequest(a.Requests[name])
		if err != nil {
			return err
		}
		a.Processes = append(a.Processes, process)
	}
	a.Requests = nil
	return nil
}

// droplet names a process's droplet for the stand-in.
func (a pushedApp) droplet(p cloudcontroller.Process) keptDroplet {
	return keptDroplet{GUID: p.Droplet.GUID, SHA1: p.Droplet.SHA1}
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
	return slices.ContainsFunc(a.Processes, func(p cloudcontroller.Process) bool { return p.GUID == guid })
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
	if err == nil {
		err = app.complete()
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

// desirePushed makes each door have what was pushed by it, as Cloud Controller's sync does all
// the time: what is gone comes back, what is there stays as it is, and what no app has any more
// is stopped.
func (c *cloud) desirePushed(ctx context.Context) (string, error) {
	apps, err := c.pushedApps()
	if err != nil {
		return "", err
	}
	started := map[string][]cloudcontroller.Process{opiDoor: {sampleProcess(c.image, c.app)}}
	var names []string
	for _, app := range apps {
		for _, process := range app.Processes {
			if err := c.addProcess(ctx, process.GUID, app.droplet(process)); err != nil {
				return "", fmt.Errorf("%s: %w", app.Name, err)
			}
		}
		started[app.Door] = append(started[app.Door], app.Processes...)
		names = append(names, app.Name)
	}
	for _, name := range doorNames {
		door, err := c.frontDoor(name)
		if err != nil {
			return "", err
		}
		if _, err := door.Sync(ctx, started[name]); err != nil {
			return "", err
		}
	}
	if len(names) == 0 {
		return "none so far", nil
	}
	return strings.Join(names, ", "), nil
}
