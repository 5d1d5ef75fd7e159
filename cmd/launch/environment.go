package main

import (
	"fmt"
	"path/filepath"
	"strings"

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
