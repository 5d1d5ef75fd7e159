package bbs

import (
	"cmp"
	"encoding/json"
	"math"
	"path"
	"strings"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// lifecycleFolder is where Diego puts the programs that Cloud Controller names. They are not
// fetched: Irene brings programs of its own.
const lifecycleFolder = "/tmp/lifecycle"

const (
	launcherPath = lifecycleFolder + "/launcher"
	sshdPath     = lifecycleFolder + "/diego-sshd"
	builderPath  = lifecycleFolder + "/builder"
)

// dropletUser runs the processes of droplets unless Cloud Controller names another user.
const dropletUser = "vcap"

// run is a run action with its place in the request.
type run struct {
	path   string
	action *models.RunAction
}

// run returns the action that the node is.
func (n node) run() run { return run{n.path + ".run", n.action.RunAction} }

// program returns the path of the program.
func (r run) program() string { return path.Clean(r.action.Path) }

// checkOptions refuses what would change how the program runs, and can't be kept.
func (r run) checkOptions() error {
	switch {
	case r.action.Dir != "":
		return opi.Invalid(r.path+".dir", "is not supported: programs start in the directory of the app")
	case r.action.SuppressLogOutput:
		return opi.Invalid(r.path+".suppress_log_output", "is not supported")
	case len(r.action.VolumeMountedFiles) > 0:
		return opi.Invalid(r.path+".volume_mounted_files", "is not supported for a single process")
	case r.action.ResourceLimits.GetOptionalNproc() != nil:
		return opi.Invalid(r.path+".resource_limits.nproc", "is not supported; max_pids bounds the processes of an instance")
	}
	return nil
}

// fileDescriptors returns the limit of open files, 0 for the platform's default.
func (r run) fileDescriptors() int64 {
	return int64(min(r.action.ResourceLimits.GetNofile(), math.MaxInt64))
}

// process returns the process that the launcher is to start. Its arguments are "app", the
// start command, and the execution metadata: "" for a droplet, for a docker image what staging
// found in its configuration (contract/bbs.md 3.1).
func (r run) process(isImage bool) (opi.Process, error) {
	arguments := r.action.Args
	switch {
	case r.isCloudNative():
		return opi.Process{}, errCloudNativeBuildpacks()
	case len(arguments) != 2 && len(arguments) != 3:
		return opi.Process{}, opi.Invalid(r.path+".args", "has %d words; the launcher takes app, a start command and execution metadata", len(arguments))
	case arguments[0] != "app":
		return opi.Process{}, opi.Invalid(r.path+".args[0]", "%q is not app", shorten(arguments[0]))
	}
	if err := r.checkOptions(); err != nil {
		return opi.Process{}, err
	}
	process := opi.Process{User: r.action.User}
	command := arguments[1]
	switch {
	case isImage && command != "":
		process.Command = []string{"/bin/sh", "-c", command}
	case command != "":
		process.Command = []string{command}
	}
	if !isImage && process.User == dropletUser || isImage && len(arguments) == 3 && isOwnUser(process.User, arguments[2]) {
		process.User = ""
	}
	return process, nil
}

// isCloudNative reports whether the arguments are those of the launcher or the builder for Cloud
// Native Buildpacks.
func (r run) isCloudNative() bool {
	return len(r.action.Args) > 0 && strings.HasPrefix(r.action.Args[0], "--")
}

// isOwnUser reports whether user is the one that a docker image names, by its execution
// metadata. Cloud Controller sends root for an image that names none. Tasks come with empty
// metadata, which leaves the question open.
func isOwnUser(user, metadata string) bool {
	var image map[string]json.RawMessage
	if json.Unmarshal([]byte(metadata), &image) != nil || len(image) == 0 {
		return false
	}
	var own string
	if named, ok := image["user"]; ok && json.Unmarshal(named, &own) != nil {
		return false
	}
	return user == cmp.Or(own, "root")
}

// errCloudNativeBuildpacks is shown to app developers.
func errCloudNativeBuildpacks() error {
	return opi.Invalid("lifecycle", "Cloud Native Buildpacks (cnb) are not supported on this platform; push the app with the lifecycle buildpack or docker")
}

// variables returns the variables of all lists. The last one of a name counts.
func variables(lists ...[]*models.EnvironmentVariable) map[string]string {
	var found map[string]string
	for _, list := range lists {
		for _, variable := range list {
			if found == nil {
				found = map[string]string{}
			}
			found[variable.GetName()] = variable.GetValue()
		}
	}
	return found
}

// shorten keeps an error readable when the value that it quotes is not.
func shorten(text string) string { return opi.Shorten(text, 80) }
