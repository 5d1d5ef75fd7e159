package render

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/irene-cf/irene/opi"
)

// Settings are the operator's settings for what LRPs and tasks become. They never change
// while Irene runs.
type Settings struct {
	// Namespace is where apps run.
	Namespace string
	// Registry is where droplet images come from.
	Registry RegistrySettings
	// ServiceAccount is the pods' account, "" for the namespace's default. No token
	// is mounted either way.
	ServiceAccount string
	// DefaultDiskMiB holds for LRPs that come without a disk limit.
	DefaultDiskMiB int64
	// TerminationGrace is the time from the decision to stop an instance to SIGKILL,
	// PreStopSleep included.
	TerminationGrace time.Duration
	// PreStopSleep is how long an instance with ports serves on after its routes
	// were taken away, before it gets SIGTERM.
	PreStopSleep time.Duration
	// TrustedCertificates is the name of a ConfigMap in the app namespace with the
	// certificates of authorities that instances should trust; empty for none.
	TrustedCertificates string
	// Names is how pods resolve host names.
	Names NameResolution
	// UserNamespaces runs docker images in user namespaces of their own.
	UserNamespaces bool
	// UserAnnotations may stand on the pods of apps whose users set them.
	UserAnnotations UserAnnotations
	Placement       PlacementSettings
	Probes          ProbeSettings
}

// RegistrySettings name the registry as kubelet reaches it.
type RegistrySettings struct {
	// PullAddress is host[:port].
	PullAddress string
	// Prefix is the path below which droplet images are.
	Prefix string
	// PullSecret is the name of an image pull secret in the app namespace, for the images
	// of droplets; empty for none.
	PullSecret string
}

// DropletImage returns the name of the image of an LRP's droplet on a revision of its stack,
// as kubelet pulls it.
func (r RegistrySettings) DropletImage(lrp opi.LRP, revision string) string {
	return r.PullAddress + "/" + strings.Trim(r.Prefix+"/"+lrp.Droplet.ImageRepository(lrp.App.GUID), "/") + ":" + DropletTag(*lrp.Droplet, revision)
}

// DropletTag returns the tag of a droplet's image: the checksum and what distinguishes the
// images of one droplet, "" if there is only one.
func DropletTag(droplet opi.Droplet, revision string) string {
	if revision == "" {
		return droplet.Checksum.Value
	}
	return droplet.Checksum.Value + "-" + revision
}

// Check returns an error, which joins one [opi.FieldError] for each fault, for an LRP with
// parts that the domain has and this back end can't run: an LRP runs as it was desired or
// not at all.
func (s Settings) Check(lrp opi.LRP) error {
	var errs []error
	errs = append(errs, checkSidecars(lrp))
	for i, volume := range lrp.Volumes {
		if volume.Driver != "" {
			errs = append(errs, opi.Invalid(fmt.Sprintf("volumes[%d].driver", i), "volume drivers are not supported, only claims"))
		}
	}
	if err := checkUser(lrp); err != nil {
		errs = append(errs, err)
	}
	if lrp.Droplet != nil && s.Registry.PullAddress == "" {
		errs = append(errs, opi.Invalid("droplet", "no registry for droplets is configured (registry.pull_address)"))
	}
	return errors.Join(errs...)
}

// checkUser refuses users that this back end can't run a process as. Apps from droplets run
// as vcap.
func checkUser(lrp opi.LRP) error {
	if lrp.Droplet == nil {
		return nil
	}
	var errs []error
	for i, process := range lrp.Processes {
		if process.User != "" && process.User != vcapName {
			errs = append(errs, opi.Invalid(fmt.Sprintf("processes[%d].user", i), "%q is not possible: apps from droplets run as %s", process.User, vcapName))
		}
	}
	return errors.Join(errs...)
}
