package bbs

import (
	"errors"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// stagingDomain is the domain of Cloud Controller's builds.
const stagingDomain = "cf-app-staging"

// stackVariable has the name of the stack, which the build sets itself.
const stackVariable = "CF_STACK"

// build converts Diego's message to the domain, as desiredLRP does. A build of Cloud Controller
// is a task that runs the builder between downloads and uploads (contract/bbs.md 4.2).
//
// Registries that Cloud Controller calls insecure are not kept: which ones Irene reads without
// TLS is a setting of its own.
func build(wire *models.TaskDefinition, guid string) (opi.Build, error) {
	actions, actionErr := readBuildActions(wire.Action)
	assets := declared(wire)
	if isCloudNative(assets) || actions.builder.isCloudNative() {
		return opi.Build{}, errCloudNativeBuildpacks()
	}
	errs := []error{checkPrivileged(wire), actionErr}
	if len(wire.VolumeMounts) > 0 {
		errs = append(errs, opi.Invalid("volume_mounts", "are not supported for staging"))
	}
	found := opi.Build{
		GUID:               guid,
		Door:               opi.DoorBBS,
		Domain:             stagingDomain,
		Environment:        variables(wire.EnvironmentVariables, actions.builder.action.Env),
		Limits:             limits(wire, actions.builder.fileDescriptors()),
		Timeout:            actions.timeout,
		EgressRules:        egressRules(wire),
		PlacementTags:      wire.PlacementTags,
		MetricTags:         metricTags(wire.MetricTags),
		Files:              files(wire),
		CompletionCallback: wire.CompletionCallbackUrl,

		OrganizationalUnits:     wire.CertificateProperties.GetOrganizationalUnit(),
		TrustedCertificatesPath: wire.TrustedSystemCertificatesPath,
	}
	found.App, found.Space, found.Organization = owners(wire)
	if actionErr != nil {
		return found, errors.Join(errs...)
	}
	flags, err := readBuilderFlags(actions.builder)
	errs = append(errs, err)
	if flags.dockerReference != "" {
		found.Image, err = actions.image(wire, assets, flags)
	} else {
		found.Source, err = actions.source(wire, assets, flags)
		delete(found.Environment, stackVariable)
	}
	return found, errors.Join(append(errs, err)...)
}

// image returns the docker image of which staging reads the configuration.
func (a buildActions) image(wire *models.TaskDefinition, assets []asset, flags builderFlags) (*opi.Image, error) {
	var errs []error
	for _, asset := range append(assets, a.downloads...) {
		if !asset.isLifecycle() {
			errs = append(errs, asset.invalidDestination("the folder of the lifecycle ("+lifecycleFolder+")"))
		}
	}
	for _, upload := range a.uploads {
		errs = append(errs, opi.Invalid(upload.path+".upload", "is not supported for a docker image"))
	}
	credentials, err := imageCredentials(wire)
	if credentials == nil && flags.dockerUser != "" {
		credentials = &opi.RegistryCredentials{Username: flags.dockerUser, Password: flags.dockerPassword}
	}
	return &opi.Image{Reference: flags.dockerReference, Credentials: credentials}, errors.Join(append(errs, err)...)
}
