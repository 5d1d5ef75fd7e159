package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/irene-cf/irene/opi"
)

// desireRequest is the body of PUT /apps/:process_guid (contract 1.2). Fields that
// it does not name are ignored.
type desireRequest struct {
	GUID                    string            `json:"guid"`
	Version                 string            `json:"version"`
	ProcessGUID             string            `json:"process_guid,omitempty"`
	ProcessType             string            `json:"process_type"`
	AppGUID                 string            `json:"app_guid"`
	AppName                 string            `json:"app_name"`
	SpaceGUID               string            `json:"space_guid"`
	SpaceName               string            `json:"space_name"`
	OrganizationGUID        string            `json:"organization_guid"`
	OrganizationName        string            `json:"organization_name"`
	Environment             map[string]string `json:"environment,omitempty"`
	EgressRules             egressRules       `json:"egress_rules,omitzero"`
	PlacementTags           []string          `json:"placement_tags"`
	Instances               int32             `json:"instances"`
	MemoryMB                int64             `json:"memory_mb"`
	DiskMB                  int64             `json:"disk_mb"`
	CPUWeight               int64             `json:"cpu_weight"`
	HealthCheckType         string            `json:"health_check_type"`
	HealthCheckHTTPEndpoint string            `json:"health_check_http_endpoint,omitempty"`
	HealthCheckTimeoutMs    int64             `json:"health_check_timeout_ms"`
	StartTimeoutMs          int64             `json:"start_timeout_ms"`
	LastUpdated             string            `json:"last_updated"`
	VolumeMounts            []volumeMount     `json:"volume_mounts"`
	Ports                   []int32           `json:"ports"`
	Routes                  wireRoutes        `json:"routes"`
	Lifecycle               lifecycle         `json:"lifecycle"`
	UserDefinedAnnotations  map[string]string `json:"user_defined_annotations,omitempty"`
}

type volumeMount struct {
	VolumeID string `json:"volume_id"`
	MountDir string `json:"mount_dir"`
}

// lifecycle says how the app was built; exactly one form is given.
type lifecycle struct {
	Buildpack *buildpackLifecycle `json:"buildpack_lifecycle,omitempty"`
	Docker    *dockerLifecycle    `json:"docker_lifecycle,omitempty"`
}

type buildpackLifecycle struct {
	StartCommand string `json:"start_command"`
	DropletHash  string `json:"droplet_hash"`
	DropletGUID  string `json:"droplet_guid"`
}

type dockerLifecycle struct {
	Command          []string `json:"command"`
	Image            string   `json:"image"`
	RegistryUsername string   `json:"registry_username,omitempty"`
	RegistryPassword string   `json:"registry_password,omitempty"`
}

// lrp converts the request. It refuses what the wire alone can get wrong; the
// rules of the domain are opi.LRP.Validate's. The error joins one *opi.FieldError
// for each part that is missing, contradicts another or can't be read; what could be
// read is returned all the same.
func (r desireRequest) lrp() (opi.LRP, error) {
	id := opi.LRPIdentifier{GUID: r.GUID, Version: r.Version}
	var errs []error
	if r.ProcessGUID != "" && r.ProcessGUID != id.ProcessGUID() {
		errs = append(errs, opi.Invalid("process_guid", "is %q, guid and version make %q", r.ProcessGUID, id.ProcessGUID()))
	}
	lrp := opi.LRP{
		LRPIdentifier: id,
		Door:          opi.DoorOPI,
		ProcessType:   r.ProcessType,
		App:           opi.Owner{GUID: r.AppGUID, Name: r.AppName},
		Space:         opi.Owner{GUID: r.SpaceGUID, Name: r.SpaceName},
		Organization:  opi.Owner{GUID: r.OrganizationGUID, Name: r.OrganizationName},
		Environment:   r.Environment,
		Instances:     int(r.Instances),
		Limits:        opi.Limits{MemoryMiB: r.MemoryMB, DiskMiB: r.DiskMB, CPUWeight: r.CPUWeight},
		Ports:         r.Ports,
		PlacementTags: r.PlacementTags,
		Annotation:    r.LastUpdated,

		UserAnnotations: r.UserDefinedAnnotations,
	}
	checks, err := r.checks()
	lrp.Checks, errs = checks, append(errs, err)
	routes, err := r.Routes.update()
	lrp.Routes, errs = routes.Routes(), append(errs, err)
	for _, mount := range r.VolumeMounts {
		lrp.Volumes = append(lrp.Volumes, opi.Volume{ID: mount.VolumeID, Directory: mount.MountDir})
	}
	lrp.EgressRules = r.EgressRules.domain()
	errs = append(errs, r.Lifecycle.apply(&lrp))
	return lrp, errors.Join(errs...)
}

// checks makes the three checks of the one that the wire has. It asks the first
// port; a process without ports has nothing to ask.
func (r desireRequest) checks() (opi.Checks, error) {
	var errs []error
	var check opi.Check
	switch r.HealthCheckType {
	case "http":
		check = opi.Check{Kind: opi.CheckHTTP, Path: r.HealthCheckHTTPEndpoint}
		if check.Path == "" {
			check.Path = "/"
		}
	case "port":
		check = opi.Check{Kind: opi.CheckPort}
	case "process", "none", "":
	default:
		errs = append(errs, opi.Invalid("health_check_type", "%q is not one of http, port, process or none", r.HealthCheckType))
	}
	if len(r.Ports) == 0 {
		check = opi.Check{}
	} else if check.Kind != opi.CheckNone {
		check.Port = r.Ports[0]
	}
	return opi.Checks{
		Startup:      check,
		StartTimeout: time.Duration(max(-1, min(r.StartTimeoutMs, maxMilliseconds))) * time.Millisecond,
		Liveness:     check,
		Readiness:    check,
	}, errors.Join(errs...)
}

// maxMilliseconds keeps a time.Duration from overflowing; the domain's own bound is
// far below it.
const maxMilliseconds = int64(1 << 40)

func (l lifecycle) apply(lrp *opi.LRP) error {
	switch {
	case l.Buildpack != nil && l.Docker != nil:
		return opi.Invalid("lifecycle", "buildpack_lifecycle and docker_lifecycle exclude each other")
	case l.Buildpack != nil:
		lrp.Droplet = &opi.Droplet{
			GUID:     l.Buildpack.DropletGUID,
			Checksum: opi.Checksum{Algorithm: "sha1", Value: l.Buildpack.DropletHash},
		}
		var command []string
		if l.Buildpack.StartCommand != "" {
			command = []string{l.Buildpack.StartCommand}
		}
		lrp.Processes = []opi.Process{{Command: command}}
	case l.Docker != nil:
		lrp.RootFS.Image = l.Docker.image()
		lrp.Processes = []opi.Process{{Command: l.Docker.Command}}
	default:
		return opi.Invalid("lifecycle", "has neither buildpack_lifecycle nor docker_lifecycle")
	}
	return nil
}

func (l dockerLifecycle) image() *opi.Image {
	image := &opi.Image{Reference: l.Image}
	if l.RegistryUsername != "" || l.RegistryPassword != "" {
		image.Credentials = &opi.RegistryCredentials{Username: l.RegistryUsername, Password: l.RegistryPassword}
	}
	return image
}

// withoutSecrets is the request for people to read: without environment and
// registry credentials, and without fields that this release does not know, since
// nobody can say what they hold.
func (r desireRequest) withoutSecrets() (string, error) {
	r.Environment = nil
	if r.Lifecycle.Docker != nil {
		docker := *r.Lifecycle.Docker
		docker.RegistryUsername, docker.RegistryPassword = "", ""
		r.Lifecycle.Docker = &docker
	}
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode request for annotation: %w", err)
	}
	return string(text), nil
}
