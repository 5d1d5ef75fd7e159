package build

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/irene-cf/irene/stager/steps"
)

// usualHome is user code's home directory on other Cloud Foundries.
const usualHome = "/home/vcap"

// usualPath is PATH where the container has none.
const usualPath = "/usr/local/bin:/usr/bin:/bin"

// environment returns the scripts' environment and their home directory.
func (b *builder) environment() ([]string, string, error) {
	variables := map[string]string{"PATH": usualPath, "USER": "vcap"}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		// Kubernetes tells every container where its API is. Apps staged elsewhere
		// don't know either.
		if name != steps.ConfigVariable && !strings.HasPrefix(name, "KUBERNETES_") {
			variables[name] = value
		}
	}
	if b.config.EnvironmentFile != "" {
		text, err := os.ReadFile(b.config.EnvironmentFile)
		if err != nil {
			return nil, "", steps.Because(steps.BadConfiguration, err, "read the app's environment")
		}
		var more map[string]string
		if err := json.Unmarshal(text, &more); err != nil {
			// The error could quote a value.
			return nil, "", steps.Fail(steps.BadConfiguration, "the app's environment is not a JSON object of strings")
		}
		maps.Copy(variables, more)
	}

	home, err := b.home()
	if err != nil {
		return nil, "", err
	}
	variables["HOME"] = home
	variables["BUILDPACKS_DIR"] = b.path(steps.BuildpacksFolder)
	if b.config.Stack != "" {
		variables["CF_STACK"] = b.config.Stack
	}
	if database := databaseURL(variables["VCAP_SERVICES"]); database != "" {
		variables["DATABASE_URL"] = database
	}

	environment := make([]string, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		environment = append(environment, name+"="+variables[name])
	}
	return environment, home, nil
}

// home finds a directory that user code can write to.
func (b *builder) home() (string, error) {
	home := b.config.Home
	if home == "" {
		home = usualHome
	}
	if info, err := os.Stat(home); err == nil && info.IsDir() && unix.Access(home, unix.W_OK|unix.X_OK) == nil {
		return home, nil
	}
	home = b.path(steps.HomeFolder)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", fmt.Errorf("make a home directory: %w", err)
	}
	return home, nil
}
