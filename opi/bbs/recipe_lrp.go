package bbs

import (
	"errors"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// desiredLRP converts Diego's message to the domain. It refuses what the wire alone can get
// wrong; [opi.LRP.Validate] has the rules of the domain. The error joins one
// *opi.FieldError, with the path on the wire, for each part that is missing, contradicts
// another or does not fit; what could be read is returned all the same.
//
// An LRP of Cloud Controller runs the launcher in the app's droplet or image, with sidecars
// and an SSH daemon next to it (contract/bbs.md 3.1). Other programs are refused. What the
// lifecycle bundle would bring is Irene's own, so its addresses are not used.
func desiredLRP(wire *models.DesiredLRP) (opi.LRP, error) {
	assets := declared(wire)
	if isCloudNative(assets) {
		return opi.LRP{}, errCloudNativeBuildpacks()
	}
	errs := []error{checkPrivileged(wire)}
	if len(wire.Sidecars) > 0 {
		errs = append(errs, opi.Invalid("sidecars", "are not supported; sidecars are members of a codependent action"))
	}
	lrp := opi.LRP{
		LRPIdentifier: opi.ParseProcessGUID(wire.ProcessGuid),
		Door:          opi.DoorBBS,
		Domain:        wire.Domain,
		ProcessType:   wire.MetricTags[tagProcessType].GetStatic(),
		Instances:     int(wire.Instances),
		EgressRules:   egressRules(wire),
		PlacementTags: wire.PlacementTags,
		Files:         files(wire),
		MetricTags:    metricTags(wire.MetricTags),
		Annotation:    wire.Annotation,

		OrganizationalUnits:     wire.CertificateProperties.GetOrganizationalUnit(),
		TrustedCertificatesPath: wire.TrustedSystemCertificatesPath,
	}
	lrp.App, lrp.Space, lrp.Organization = owners(wire)
	var err error
	note := func(err error) { errs = append(errs, err) }
	lrp.RootFS, err = rootFS(wire)
	note(err)
	lrp.Droplet, err = lrpDroplet(wire, assets, lrp.RootFS.Image != nil)
	note(err)
	members, err := readMembers(wire, lrp.RootFS.Image != nil)
	note(err)
	lrp.Processes, lrp.Environment, lrp.Limits = members.processes, members.environment, limits(wire, members.fileDescriptors)
	lrp.Checks, err = checks(wire)
	note(err)
	var sshPort uint32
	lrp.Routes, lrp.SSHRoute, sshPort, err = readRoutes(wire.Routes)
	note(err)
	if listens(lrp) {
		lrp.Ports = appPorts(wire.Ports, sshPort)
	}
	lrp.Volumes, err = volumes(wire)
	note(err)
	if err := errors.Join(errs...); err != nil {
		return lrp, err
	}
	lrp.OriginalRequest, err = originalRequest(wire)
	return lrp, err
}

// webProcess is the type of the process that routes are mapped to unless users choose another.
const webProcess = "web"

// listens reports whether routes or checks lead to the LRP, or routes may as soon as users map
// one. Cloud Controller sends port 8080 for others, too.
func listens(lrp opi.LRP) bool {
	routes := len(lrp.Routes.HTTP) + len(lrp.Routes.TCP) + len(lrp.Routes.Internal)
	return routes > 0 || lrp.Checks.Liveness.Kind != opi.CheckNone || lrp.Checks.Readiness.Kind != opi.CheckNone ||
		lrp.ProcessType == webProcess || lrp.ProcessType == ""
}

// lrpDroplet returns the droplet, which is an image layer, a cached dependency or a download
// of the setup.
func lrpDroplet(wire *models.DesiredLRP, assets []asset, isImage bool) (*opi.Droplet, error) {
	downloads, err := setupDownloads(wire.Setup)
	if err != nil {
		return nil, err
	}
	return droplet(append(assets, downloads...), isImage)
}
