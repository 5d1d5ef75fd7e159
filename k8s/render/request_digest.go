package render

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/irene-cf/irene/opi"
)

// requestContent returns what the digest of a request covers: everything that a template is
// made from, secret values included. Instances, routes, annotation and metric tags are left
// out, since an update changes them.
//
// The digests of all running apps were made from this form. So the types below repeat those
// of package opi as they were: no name, tag or order of a field may ever change, and a field
// that is added must be omitted when it is empty.
func requestContent(lrp opi.LRP) ([]byte, error) {
	digested := digestedRequest{LRP: digestedLRP{
		GUID:                lrp.GUID,
		Version:             lrp.Version,
		ProcessType:         lrp.ProcessType,
		App:                 digestedOwner(lrp.App),
		Space:               digestedOwner(lrp.Space),
		Organization:        digestedOwner(lrp.Organization),
		RootFS:              digestedRootFS{Stack: lrp.RootFS.Stack},
		Processes:           each(lrp.Processes, func(p opi.Process) digestedProcess { return digestedProcess(p) }),
		Environment:         lrp.Environment,
		Limits:              digestedLimits(lrp.Limits),
		Ports:               lrp.Ports,
		Checks:              digestChecks(lrp.Checks),
		Volumes:             each(lrp.Volumes, func(v opi.Volume) digestedVolume { return digestedVolume(v) }),
		EgressRules:         each(lrp.EgressRules, digestEgressRule),
		PlacementTags:       lrp.PlacementTags,
		OrganizationalUnits: lrp.OrganizationalUnits,
		Files:               each(lrp.Files, func(f opi.File) digestedFile { return digestedFile(f) }),
		UserAnnotations:     lrp.UserAnnotations,

		Domain:                  lrp.Domain,
		TrustedCertificatesPath: lrp.TrustedCertificatesPath,
	}}
	if image := lrp.RootFS.Image; image != nil {
		digested.LRP.RootFS.Image = &digestedImage{Reference: image.Reference}
		digested.Credentials = (*digestedCredentials)(image.Credentials)
	}
	if droplet := lrp.Droplet; droplet != nil {
		digested.LRP.Droplet = &digestedDroplet{GUID: droplet.GUID, Checksum: digestedChecksum(droplet.Checksum), URL: droplet.URL}
	}
	content, err := json.Marshal(digested)
	if err != nil {
		return nil, fmt.Errorf("digest request of %s: %w", lrp, err)
	}
	return content, nil
}

func digestChecks(checks opi.Checks) digestedChecks {
	return digestedChecks{
		Startup:      digestedCheck(checks.Startup),
		StartTimeout: checks.StartTimeout,
		Liveness:     digestedCheck(checks.Liveness),
		Readiness:    digestedCheck(checks.Readiness),
		More:         digestMoreChecks(checks.More),
	}
}

func digestMoreChecks(more opi.MoreChecks) digestedMoreChecks {
	if more.IsZero() {
		return digestedMoreChecks{} // which omits all of digestedChecks if there are none at all
	}
	digest := func(c opi.Check) digestedCheck { return digestedCheck(c) }
	return digestedMoreChecks{
		Startup: each(more.Startup, digest), Liveness: each(more.Liveness, digest), Readiness: each(more.Readiness, digest),
	}
}

func digestEgressRule(rule opi.EgressRule) digestedEgressRule {
	return digestedEgressRule{
		Protocol:     rule.Protocol,
		Destinations: rule.Destinations,
		Ports:        rule.Ports,
		PortRange:    (*digestedPortRange)(rule.PortRange),
		ICMP:         (*digestedICMP)(rule.ICMP),
		Log:          rule.Log,
		Annotations:  rule.Annotations,
	}
}

// each converts a list element by element.
func each[From, To any](list []From, convert func(From) To) []To {
	converted := make([]To, 0, len(list))
	for _, element := range list {
		converted = append(converted, convert(element))
	}
	return converted
}

type digestedRequest struct {
	LRP         digestedLRP
	Credentials *digestedCredentials
}

type digestedLRP struct {
	GUID                string               `json:"guid"`
	Version             string               `json:"version"`
	ProcessType         string               `json:"processType,omitempty"`
	App                 digestedOwner        `json:"app,omitzero"`
	Space               digestedOwner        `json:"space,omitzero"`
	Organization        digestedOwner        `json:"organization,omitzero"`
	RootFS              digestedRootFS       `json:"rootFS,omitzero"`
	Droplet             *digestedDroplet     `json:"droplet,omitempty"`
	Processes           []digestedProcess    `json:"processes,omitempty"`
	Environment         map[string]string    `json:"environment,omitempty"`
	Limits              digestedLimits       `json:"limits,omitzero"`
	Ports               []int32              `json:"ports,omitempty"`
	Checks              digestedChecks       `json:"checks,omitzero"`
	Volumes             []digestedVolume     `json:"volumes,omitempty"`
	EgressRules         []digestedEgressRule `json:"egressRules,omitempty"`
	PlacementTags       []string             `json:"placementTags,omitempty"`
	OrganizationalUnits []string             `json:"organizationalUnits,omitempty"`
	Files               []digestedFile       `json:"files,omitempty"`
	UserAnnotations     map[string]string    `json:"userAnnotations,omitempty"`

	Domain                  string `json:"domain,omitempty"`
	TrustedCertificatesPath string `json:"trustedCertificatesPath,omitempty"`
}

type digestedOwner struct {
	GUID string `json:"guid,omitempty"`
	Name string `json:"name,omitempty"`
}

type digestedRootFS struct {
	Stack string         `json:"stack,omitempty"`
	Image *digestedImage `json:"image,omitempty"`
}

type digestedImage struct {
	Reference string `json:"reference"`
}

type digestedCredentials struct {
	Username string
	Password string
}

type digestedDroplet struct {
	GUID     string           `json:"guid,omitempty"`
	Checksum digestedChecksum `json:"checksum,omitzero"`
	URL      string           `json:"url,omitempty"`
}

type digestedChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"value"`
}

type digestedProcess struct {
	Name        string            `json:"name,omitempty"`
	Command     []string          `json:"command,omitempty"`
	User        string            `json:"user,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	MemoryMiB   int64             `json:"memoryMiB,omitempty"`
}

type digestedLimits struct {
	MemoryMiB         int64  `json:"memoryMiB,omitempty"`
	DiskMiB           int64  `json:"diskMiB,omitempty"`
	CPUWeight         int64  `json:"cpuWeight,omitempty"`
	FileDescriptors   int64  `json:"fileDescriptors,omitempty"`
	PIDs              int64  `json:"pids,omitempty"`
	LogBytesPerSecond *int64 `json:"logBytesPerSecond,omitempty"`
}

type digestedChecks struct {
	Startup      digestedCheck      `json:"startup,omitzero"`
	StartTimeout time.Duration      `json:"startTimeout,omitempty"`
	Liveness     digestedCheck      `json:"liveness,omitzero"`
	Readiness    digestedCheck      `json:"readiness,omitzero"`
	More         digestedMoreChecks `json:"more,omitzero"`
}

type digestedMoreChecks struct {
	Startup   []digestedCheck `json:"startup,omitempty"`
	Liveness  []digestedCheck `json:"liveness,omitempty"`
	Readiness []digestedCheck `json:"readiness,omitempty"`
}

// IsZero reports whether there is nothing to digest.
func (m digestedMoreChecks) IsZero() bool {
	return len(m.Startup) == 0 && len(m.Liveness) == 0 && len(m.Readiness) == 0
}

type digestedCheck struct {
	Kind     opi.CheckKind `json:"kind,omitempty"`
	Port     int32         `json:"port,omitempty"`
	Path     string        `json:"path,omitempty"`
	Interval time.Duration `json:"interval,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`

	Headers map[string]string `json:"headers,omitempty"`
}

type digestedVolume struct {
	Driver    string                     `json:"driver,omitempty"`
	ID        string                     `json:"id"`
	Directory string                     `json:"directory"`
	ReadOnly  bool                       `json:"readOnly,omitempty"`
	Config    map[string]json.RawMessage `json:"config,omitempty"`
}

type digestedEgressRule struct {
	Protocol     string             `json:"protocol"`
	Destinations []string           `json:"destinations,omitempty"`
	Ports        []int32            `json:"ports,omitempty"`
	PortRange    *digestedPortRange `json:"portRange,omitempty"`
	ICMP         *digestedICMP      `json:"icmp,omitempty"`
	Log          bool               `json:"log,omitempty"`
	Annotations  []string           `json:"annotations,omitempty"`
}

type digestedPortRange struct {
	Start int32 `json:"start"`
	End   int32 `json:"end"`
}

type digestedICMP struct {
	Type int32 `json:"type"`
	Code int32 `json:"code"`
}

type digestedFile struct {
	Path    string `json:"path"`
	Content []byte `json:"content,omitempty"`
}
