package bbs

import (
	"errors"
	"strings"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// taskSource begins the source of a task's log lines, in front of its name.
const taskSource = "APP/TASK/"

// task converts Diego's message to the domain, as desiredLRP does. A task of Cloud Controller
// runs the launcher in the app's droplet or image (contract/bbs.md 4.3).
func task(wire *models.TaskDefinition, guid, domain string) (opi.Task, error) {
	assets := declared(wire)
	downloads, launcher, actionErr := readTaskAction(wire.Action)
	if assets = append(assets, downloads...); isCloudNative(assets) || launcher.isCloudNative() {
		return opi.Task{}, errCloudNativeBuildpacks()
	}
	errs := []error{checkPrivileged(wire), actionErr}
	if wire.ResultFile != "" {
		errs = append(errs, opi.Invalid("result_file", "is supported for staging only"))
	}
	found := opi.Task{
		GUID:               guid,
		Door:               opi.DoorBBS,
		Name:               taskName(launcher.action.LogSource),
		Domain:             domain,
		Annotation:         wire.Annotation,
		Environment:        variables(wire.EnvironmentVariables, launcher.action.Env),
		Limits:             limits(wire, launcher.fileDescriptors()),
		EgressRules:        egressRules(wire),
		PlacementTags:      wire.PlacementTags,
		MetricTags:         metricTags(wire.MetricTags),
		Files:              files(wire),
		CompletionCallback: wire.CompletionCallbackUrl,

		OrganizationalUnits:     wire.CertificateProperties.GetOrganizationalUnit(),
		TrustedCertificatesPath: wire.TrustedSystemCertificatesPath,
	}
	found.App, found.Space, found.Organization = owners(wire)
	var err error
	note := func(err error) { errs = append(errs, err) }
	found.RootFS, err = rootFS(wire)
	note(err)
	isImage := found.RootFS.Image != nil
	found.Droplet, err = droplet(assets, isImage)
	note(err)
	if actionErr == nil {
		found.Process, err = launcher.process(isImage)
		note(err)
	}
	found.Volumes, err = volumes(wire)
	note(err)
	return found, errors.Join(errs...)
}

// readTaskAction reads a run, or a run after the download of the droplet. The run has an action
// even if there is an error.
func readTaskAction(action *models.Action) ([]asset, run, error) {
	launcher := run{action: &models.RunAction{}}
	leaves, err := node{"action", action}.leaves("serial")
	if err != nil {
		return nil, launcher, err
	}
	var downloads []asset
	for i, leaf := range leaves {
		isLast := i == len(leaves)-1
		switch {
		case leaf.kind == "download" && !isLast:
			downloads = append(downloads, leaf.download())
		case leaf.kind != "run" || !isLast:
			return nil, launcher, opi.Invalid(leaf.path+"."+leaf.kind, "is not supported: a task has downloads and then one run")
		case leaf.run().program() != launcherPath:
			return nil, launcher, opi.Invalid(leaf.path+".run", "path %q is not the launcher", shorten(leaf.action.RunAction.Path))
		default:
			launcher = leaf.run()
		}
	}
	if len(leaves) == 0 {
		return nil, launcher, opi.Invalid("action", "has no run")
	}
	return downloads, launcher, nil
}

// taskName returns the name that the user gave the task; "" if it is not sent.
func taskName(logSource string) string {
	name, found := strings.CutPrefix(logSource, taskSource)
	if !found {
		return ""
	}
	return name
}
