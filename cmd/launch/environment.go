package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/irene-cf/irene/opi/sidecars"
	"github.com/irene-cf/irene/opi/vcapapplication"
)

// environment is a process's environment, NAME=value each, in its given order.
type environment []string

// lookup returns a variable's value, and whether it is there at all.
func (e environment) lookup(name string) (string, bool) {
	for _, entry := range e {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// get returns a variable's value, "" when it isn't there.
func (e environment) get(name string) string {
	value, _ := e.lookup(name)
	return value
}

// firstOf returns the first value that is not empty among the named variables.
func (e environment) firstOf(names ...string) string {
	for _, name := range names {
		if value := e.get(name); value != "" {
			return value
		}
	}
	return ""
}

// with returns a copy in which the variable has the value, in its old place or
// else at the end.
func (e environment) with(name, value string) environment {
	changed := make(environment, 0, len(e)+1)
	placed := false
	for _, entry := range e {
		if !strings.HasPrefix(entry, name+"=") {
			changed = append(changed, entry)
		} else if !placed {
			changed = append(changed, name+"="+value)
			placed = true
		}
	}
	if !placed {
		changed = append(changed, name+"="+value)
	}
	return changed
}

// withDefault returns e, with the variable set if it was missing or empty.
func (e environment) withDefault(name, value string) environment {
	if e.get(name) != "" {
		return e
	}
	return e.with(name, value)
}

// without returns a copy that lacks the variables for which drop returns true.
func (e environment) without(drop func(name string) bool) environment {
	return slices.DeleteFunc(slices.Clone(e), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return drop(name)
	})
}

// withoutSidecars returns the container's environment without the variables that hold what
// single sidecars get.
func withoutSidecars(env environment, members sidecars.Members) environment {
	if len(members.Sidecars) == 0 {
		return env
	}
	return env.without(sidecars.IsVariable)
}

// sidecarEnvironment makes a sidecar's environment of the container's and the app's.
func sidecarEnvironment(container, app environment, sidecar sidecars.Sidecar) environment {
	// The app's start command is none of the sidecar's variables.
	env := app.without(func(name string) bool { return name == "START_COMMAND" })
	for _, name := range slices.Sorted(maps.Keys(sidecar.Environment)) {
		if value, ok := container.lookup(sidecar.Environment[name]); ok {
			env = env.with(name, value)
		}
	}
	return env
}

// appEnvironment makes the app's environment from launch's own, for a droplet
// rooted at home. Problems keep nothing from starting; what they concern stays
// as it was.
func appEnvironment(env environment, home string) (environment, []error) {
	env = env.
		withDefault("HOME", filepath.Join(home, "app")).
		withDefault("TMPDIR", filepath.Join(home, "tmp")).
		withDefault("USER", "vcap").
		with("DEPS_DIR", filepath.Join(home, "deps"))

	vcap, ok := env.lookup("VCAP_APPLICATION")
	if !ok {
		return env, nil
	}
	members, problems := instanceMembers(env)
	merged, err := vcapapplication.Merge(vcap, members)
	if err != nil {
		return env, append(problems, fmt.Errorf("VCAP_APPLICATION stays as it was: %w", err))
	}
	return env.with("VCAP_APPLICATION", merged), problems
}
