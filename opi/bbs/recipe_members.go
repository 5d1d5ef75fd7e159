package bbs

import (
	"errors"
	"slices"
	"strings"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// members are the programs that an instance runs side by side.
type members struct {
	// processes are the app, first, and its sidecars.
	processes []opi.Process
	// environment is the app's.
	environment map[string]string
	// fileDescriptors is the limit of each of them.
	fileDescriptors int64
}

// memoryVariable has the memory that a process may use, which is all that a request has about
// the memory of a sidecar.
const memoryVariable = "MEMORY_LIMIT"

// readMembers reads the action of an LRP: a codependent action whose members are the launcher
// of the app, launchers of sidecars, and perhaps an SSH daemon, which is left out. Any single
// action is taken as the app.
func readMembers(wire *models.DesiredLRP, isImage bool) (members, error) {
	root := node{"action", wire.Action}
	nodes := []node{root}
	if kind, err := root.kind(); err != nil {
		return members{}, err
	} else if kind == "codependent" {
		nodes = root.children(kind)
	}
	var app, sshd *run
	var sidecars []run
	for _, found := range nodes {
		found, kind, err := found.single()
		switch {
		case err != nil:
			return members{}, err
		case kind != "run":
			return members{}, opi.Invalid(found.path+"."+kind, "is not supported as a process of an app")
		}
		member := found.run()
		isSidecar := sidecarName(wire, member.action.LogSource) != ""
		switch program := member.program(); {
		case program == sshdPath && sshd != nil:
			return members{}, opi.Invalid(member.path, "is a second SSH daemon, next to %s", sshd.path)
		case program == sshdPath:
			sshd = &member
		case program != launcherPath:
			return members{}, opi.Invalid(member.path, "path %q is neither the launcher nor diego-sshd", shorten(member.action.Path))
		case isSidecar:
			sidecars = append(sidecars, member)
		case app != nil:
			return members{}, opi.Invalid(member.path, "is a second app, next to %s; the log_source of a sidecar has /SIDECAR/ and its name", app.path)
		default:
			app = &member
		}
	}
	if app == nil {
		return members{}, opi.Invalid("action", "has no launcher of an app")
	}
	return app.with(sidecars, wire, isImage)
}

// with returns the app and its sidecars as processes of the domain.
func (r run) with(sidecars []run, wire *models.DesiredLRP, isImage bool) (members, error) {
	process, err := r.process(isImage)
	all := members{
		processes:       []opi.Process{process},
		environment:     variables(wire.EnvironmentVariables, r.action.Env),
		fileDescriptors: r.fileDescriptors(),
	}
	errs := []error{err}
	for _, sidecar := range sidecars {
		process, err := sidecar.process(isImage)
		errs = append(errs, err)
		process.Name = sidecarName(wire, sidecar.action.LogSource)
		if own := sidecar.fileDescriptors(); own != 0 && own != all.fileDescriptors {
			errs = append(errs, opi.Invalid(sidecar.path+".resource_limits.nofile", "is %d, and %d for the app; all processes of an instance have one limit", own, all.fileDescriptors))
		}
		environment := variables(wire.EnvironmentVariables, sidecar.action.Env)
		process.Environment, err = differences(all.environment, environment, sidecar.path+".env")
		errs = append(errs, err)
		if memory, err := opi.ParseMemoryLimit(environment[memoryVariable]); err == nil && memory < int64(wire.MemoryMb) {
			process.MemoryMiB = memory
		}
		all.processes = append(all.processes, process)
	}
	return all, errors.Join(errs...)
}

// differences returns the variables of a sidecar that the app has not, or has with another
// value. A variable that the sidecar lacks can't be taken from it.
func differences(app, sidecar map[string]string, field string) (map[string]string, error) {
	var own map[string]string
	for name, value := range sidecar {
		if inApp, ok := app[name]; !ok || inApp != value {
			if own == nil {
				own = map[string]string{}
			}
			own[name] = value
		}
	}
	var missing []string
	for name := range app {
		if _, ok := sidecar[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return own, opi.Invalid(field, "lacks %s, which the app has", shorten(slices.Min(missing)))
	}
	return own, nil
}

// sidecarName returns the name of the sidecar that log lines come from, in lower case as its
// true form is not sent; "" for an app. The form is APP/PROC/<TYPE>/SIDECAR/<NAME>, where both
// may have slashes.
func sidecarName(wire *models.DesiredLRP, logSource string) string {
	processType := strings.ToUpper(wire.MetricTags[tagProcessType].GetStatic())
	if processType != "" && strings.HasSuffix(logSource, "/PROC/"+processType) {
		return ""
	}
	_, name, found := strings.Cut(logSource, "/PROC/"+processType+"/SIDECAR/")
	if !found || processType == "" {
		_, name, _ = strings.Cut(logSource, "/SIDECAR/")
	}
	return strings.ToLower(name)
}
