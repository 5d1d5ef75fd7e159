package opi

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
)

// LRPIdentifier names one LRP: a process of an app at one version. Cloud
// Controller makes a new version for every change that needs new instances, so
// two LRPs of one process may run side by side while one replaces the other.
type LRPIdentifier struct {
	// GUID is Cloud Controller's process guid.
	GUID string `json:"guid"`
	// Version is the process version. It is empty for an LRP whose caller names it by GUID
	// alone.
	Version string `json:"version"`
}

// guidBytes is the length of the guids that Cloud Controller makes.
const guidBytes = 36

// ParseProcessGUID returns the identifier that a process guid stands for. Cloud Controller's
// form, "<guid>-<version>" of 36 characters each, is cut into its parts. Any other text is
// the GUID of an LRP without a version.
func ParseProcessGUID(processGUID string) LRPIdentifier {
	if len(processGUID) == 2*guidBytes+1 && processGUID[guidBytes] == '-' {
		return LRPIdentifier{GUID: processGUID[:guidBytes], Version: processGUID[guidBytes+1:]}
	}
	return LRPIdentifier{GUID: processGUID}
}

// ProcessGUID returns the form in which Cloud Controller names an LRP in reports and
// lists: "<guid>-<version>", or GUID alone if there is no version.
func (id LRPIdentifier) ProcessGUID() string {
	if id.Version == "" {
		return id.GUID
	}
	return id.GUID + "-" + id.Version
}

// String is ProcessGUID.
func (id LRPIdentifier) String() string { return id.ProcessGUID() }

// Validate checks that GUID is there, and that both parts fit a Kubernetes label value,
// which is how an LRP is found again.
func (id LRPIdentifier) Validate() error {
	errs := []error{validateIdentifier("guid", id.GUID)}
	if id.Version != "" {
		errs = append(errs, validateIdentifier("version", id.Version))
	}
	return errors.Join(errs...)
}

// Owner is something in Cloud Controller that an LRP belongs to: an app, a
// space or an organization.
type Owner struct {
	// GUID is Cloud Controller's guid; it must fit a label value or be empty.
	GUID string `json:"guid,omitempty"`
	// Name is the name that users gave: any text.
	Name string `json:"name,omitempty"`
}

// LRP is a desired long-running process: what runs, how many of it, within what
// limits, how its health is judged and how it is reached.
type LRP struct {
	LRPIdentifier
	// Door names the front door that desired the LRP. It is stored apart from the record,
	// like instances, routes and annotation.
	Door Door `json:"-"`
	// Domain names the set of LRPs that the caller keeps in step with its own records, such
	// as cf-apps; empty for a door without domains. It must fit a label value.
	Domain string `json:"domain,omitempty"`
	// ProcessType is the process's name within the app: web, worker, any text.
	ProcessType  string `json:"processType,omitempty"`
	App          Owner  `json:"app,omitzero"`
	Space        Owner  `json:"space,omitzero"`
	Organization Owner  `json:"organization,omitzero"`

	// RootFS is what the instances' file system starts from.
	RootFS RootFS `json:"rootFS,omitzero"`
	// Droplet is the built app to put on the root file system. Nil where the
	// image is the app.
	Droplet *Droplet `json:"droplet,omitempty"`
	// Processes are the process itself, first, and its sidecars.
	Processes []Process `json:"processes,omitempty"`
	// Environment is what Cloud Controller computed for the process. Values may
	// be secret: a back end never stores them beside the rest.
	Environment map[string]string `json:"environment,omitempty"`

	// Instances is how many instances are desired, 0 for none yet.
	Instances int `json:"instances,omitempty"`
	// Limits bound every instance.
	Limits Limits `json:"limits,omitzero"`
	// Ports are the ports that the process listens on, the main one first; none
	// for a worker. A port may be listed twice.
	Ports []int32 `json:"ports,omitempty"`
	// Checks judge an instance's health.
	Checks Checks `json:"checks,omitzero"`
	// Routes are how clients reach the LRP.
	Routes Routes `json:"routes,omitzero"`

	// Volumes are mounted into every instance. A mount may be listed twice.
	Volumes []Volume `json:"volumes,omitempty"`
	// EgressRules are the destinations that instances may connect to.
	EgressRules []EgressRule `json:"egressRules,omitempty"`
	// PlacementTags name the isolation segment: a cell must carry all of them.
	PlacementTags []string `json:"placementTags,omitempty"`
	// MetricTags go with every metric and log line of an instance. Like routes they are stored
	// apart from the record, since an update replaces them.
	MetricTags map[string]MetricTag `json:"metricTags,omitempty"`
	// OrganizationalUnits go into an instance's identity certificate.
	OrganizationalUnits []string `json:"organizationalUnits,omitempty"`
	// Files are placed into every instance.
	Files []File `json:"files,omitempty"`
	// SSHRoute is Diego's route for SSH as its caller sent it: JSON with the port and private
	// keys. It is secret, and has no part in what runs.
	SSHRoute json.RawMessage `json:"-"`
	// TrustedCertificatesPath is the absolute path of the directory in which instances find
	// the certificates of the authorities that the platform trusts; empty for none.
	TrustedCertificatesPath string `json:"trustedCertificatesPath,omitempty"`
	// UserAnnotations are the app's annotations that concern the platform, such
	// as prometheus.io/port. They are users' text; a back end uses those that its
	// operator allows.
	UserAnnotations map[string]string `json:"userAnnotations,omitempty"`

	// Annotation is the caller's note of which state it last sent. It is opaque:
	// stored and returned byte for byte, never ordered.
	Annotation string `json:"annotation,omitempty"`
	// OriginalRequest is the text of the request that desired the LRP, for people who look
	// at its objects. It is opaque, holds no secrets and has no part in what runs.
	OriginalRequest string `json:"-"`
}

// RootFS is where an instance's root file system comes from: a stack by name or
// an image. With neither, the platform's default stack.
type RootFS struct {
	// Stack is the name of a stack, such as cflinuxfs4.
	Stack string `json:"stack,omitempty"`
	// Image is an OCI image that brings its own root file system.
	Image *Image `json:"image,omitempty"`
}

// Image is an OCI image and, for a private one, how to pull it.
type Image struct {
	// Reference is an image reference as container runtimes take it, without a
	// URL scheme: "org/app", "registry:5000/app:tag", "app@sha256:…".
	Reference string `json:"reference"`
	// Credentials are nil for a public image. Never stored beside the rest.
	Credentials *RegistryCredentials `json:"-"`
}

// RegistryCredentials are a user name and password for an image registry.
type RegistryCredentials struct {
	Username string
	Password string
}

// Checksum is a digest over some content.
type Checksum struct {
	// Algorithm is sha1 or sha256.
	Algorithm string `json:"algorithm"`
	// Value is the digest in lower-case hex.
	Value string `json:"value"`
}

// Droplet is a built app: a tar archive with the app, its dependencies and its
// start command.
type Droplet struct {
	// GUID is Cloud Controller's guid of the droplet. It is empty if the checksum alone
	// identifies the droplet.
	GUID     string   `json:"guid,omitempty"`
	Checksum Checksum `json:"checksum,omitzero"`
	// URL is where to fetch the droplet; empty when only the registry has it.
	URL string `json:"url,omitempty"`
}

// Process is one program that runs in an instance.
type Process struct {
	// Name is empty for the LRP's main process and the sidecar's name otherwise.
	Name string `json:"name,omitempty"`
	// Command is the start command as a list; empty means the image's own, or
	// for a droplet the command that staging found.
	Command []string `json:"command,omitempty"`
	// User runs the process; empty means the image's own, vcap for a droplet.
	User string `json:"user,omitempty"`
	// Environment is added to the LRP's for this process alone.
	Environment map[string]string `json:"environment,omitempty"`
	// MemoryMiB is the part of the LRP's memory that is meant for a sidecar; 0 if none is. Only
	// the LRP's memory bounds its processes.
	MemoryMiB int64 `json:"memoryMiB,omitempty"`
}

// Volume is storage that outlives an instance.
type Volume struct {
	// Driver names the volume plugin; empty for a claim that exists already.
	Driver string `json:"driver,omitempty"`
	// ID names the volume; for an empty driver, the claim.
	ID string `json:"id"`
	// Directory is the absolute path inside the instance.
	Directory string `json:"directory"`
	// ReadOnly mounts without writing.
	ReadOnly bool `json:"readOnly,omitempty"`
	// Config is the driver's own configuration: JSON values by name.
	Config map[string]json.RawMessage `json:"config,omitempty"`
}

func (v Volume) sameStorage(other Volume) bool {
	return v.Driver == other.Driver && v.ID == other.ID && v.ReadOnly == other.ReadOnly && maps.EqualFunc(v.Config, other.Config, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

// MainProcess returns the LRP's own process, the first one; a zero Process when
// there is none.
func (l LRP) MainProcess() Process {
	if len(l.Processes) == 0 {
		return Process{}
	}
	return l.Processes[0]
}

// Validate checks everything that must hold for an LRP, whoever desires it. The
// error joins one *FieldError for each fault.
func (l LRP) Validate() error {
	errs := []error{
		l.LRPIdentifier.Validate(),
		validateOwner("app", l.App),
		validateOwner("space", l.Space),
		validateOwner("organization", l.Organization),
		validateContent(l.RootFS, l.Droplet),
		validateImageRepository(l.Droplet, l.App),
		ValidateEnvironment(l.Environment),
		l.Limits.Validate(),
		validatePorts(l.Ports),
		l.Checks.Validate(),
		l.Routes.Validate(),
		validateVolumes(l.Volumes),
		validateSurroundings(l.Domain, l.EgressRules, l.PlacementTags, l.MetricTags, l.Files, l.TrustedCertificatesPath),
	}
	errs = append(errs, validateInstances(l.Instances))
	if strings.ContainsRune(l.Annotation, 0) {
		errs = append(errs, Invalid("annotation", "must not contain a NUL byte"))
	}
	for i, process := range l.Processes {
		field := fmt.Sprintf("processes[%d]", i)
		errs = append(errs, validateCommand(field, process.Command), Within(field, ValidateEnvironment(process.Environment)))
		if i > 0 && process.Name == "" {
			errs = append(errs, Invalid(field+".name", "is missing; a sidecar has a name"))
		}
	}
	return errors.Join(errs...)
}

// maxInstances is far beyond what any cluster runs: more is a mistake, and would
// keep Kubernetes busy for ever.
const maxInstances = 100_000

func validateInstances(instances int) error {
	switch {
	case instances < 0:
		return Invalid("instances", "must not be negative, is %d", instances)
	case instances > maxInstances:
		return Invalid("instances", "must not be more than %d, is %d", maxInstances, instances)
	}
	return nil
}

// validateContent checks what an instance's files come from.
func validateContent(rootFS RootFS, droplet *Droplet) error {
	switch {
	case rootFS.Image != nil && droplet != nil:
		return Invalid("rootFS", "an image and a droplet exclude each other")
	case rootFS.Image != nil && rootFS.Stack != "":
		return Invalid("rootFS", "an image and a stack exclude each other")
	case rootFS.Image != nil:
		return Within("rootFS.image", rootFS.Image.Validate())
	case droplet != nil:
		return Within("droplet", droplet.Validate())
	default:
		return Invalid("rootFS", "neither an image nor a droplet is given")
	}
}

func validateCommand(field string, command []string) error {
	var errs []error
	for i, argument := range command {
		errs = append(errs, validateExecString(fmt.Sprintf("%s.command[%d]", field, i), argument))
	}
	return errors.Join(errs...)
}

// ImageRepository returns the last part of the name of the droplet's app images: its guid,
// or the guid of its app if it has none.
func (d Droplet) ImageRepository(appGUID string) string { return cmp.Or(d.GUID, appGUID) }

// Validate checks the droplet's guid and checksum, which name its image in the
// registry. A droplet may do without a guid if its checksum is a complete SHA-1 or SHA-256.
func (d Droplet) Validate() error {
	if d.GUID == "" {
		if err := d.Checksum.Validate(); err != nil {
			return Invalid("guid", "is missing, and the checksum does not identify the droplet without it: %s", err)
		}
		return nil
	}
	var errs []error
	if !repositoryComponent.MatchString(d.GUID) {
		errs = append(errs, Invalid("guid", "%q can't be part of an image name (lower-case letters, digits, and single '.', '_' or '-' between them)", abbreviate(d.GUID)))
	}
	if !tagComponent.MatchString(d.Checksum.Value) {
		errs = append(errs, Invalid("checksum", "%q can't be part of an image tag (up to 100 letters, digits, '_', '.' or '-')", abbreviate(d.Checksum.Value)))
	}
	return errors.Join(errs...)
}

// validateImageRepository checks the name that the images of a droplet without a guid have
// from their app.
func validateImageRepository(droplet *Droplet, app Owner) error {
	if droplet == nil || droplet.GUID != "" || repositoryComponent.MatchString(app.GUID) {
		return nil
	}
	return Invalid("app.guid", "%q can't be part of the image name of a droplet without a guid (lower-case letters, digits, and single '.', '_' or '-' between them)", abbreviate(app.GUID))
}

// hexDigits are the lengths of checksums by algorithm.
var hexDigits = map[string]int{"sha1": 2 * sha1.Size, "sha256": 2 * sha256.Size}

// Validate checks that the checksum is a complete SHA-1 or SHA-256.
func (c Checksum) Validate() error {
	digits, known := hexDigits[c.Algorithm]
	switch {
	case !known:
		return Invalid("algorithm", "%q is neither sha1 nor sha256", abbreviate(c.Algorithm))
	case len(c.Value) != digits || strings.Trim(c.Value, "0123456789abcdef") != "":
		return Invalid("value", "%q is not %d hex digits in lower case", abbreviate(c.Value), digits)
	}
	return nil
}

func validateVolumes(volumes []Volume) error {
	var errs []error
	mounted := map[string]Volume{}
	for i, volume := range volumes {
		field := fmt.Sprintf("volumes[%d]", i)
		if volume.Driver == "" && !isDNSSubdomain(volume.ID) {
			errs = append(errs, Invalid(field+".id", "%q is not the name of a claim (lower-case letters, digits, '-' and '.')", abbreviate(volume.ID)))
		}
		directory := path.Clean(volume.Directory)
		earlier, isMounted := mounted[directory]
		switch {
		case validateDirectory(field+".directory", volume.Directory) != nil:
			errs = append(errs, validateDirectory(field+".directory", volume.Directory))
		case isMounted && !earlier.sameStorage(volume):
			errs = append(errs, Invalid(field+".directory", "%q is the directory of another volume too", abbreviate(volume.Directory)))
		}
		mounted[directory] = volume
	}
	return errors.Join(errs...)
}

// validateDirectory checks a path at which something is mounted.
func validateDirectory(field, directory string) error {
	switch {
	case !path.IsAbs(directory) || path.Clean(directory) == "/":
		return Invalid(field, "%q is not an absolute path below /", abbreviate(directory))
	case strings.Contains(directory, ":"):
		return Invalid(field, "%q must not contain a colon", abbreviate(directory))
	}
	return nil
}

func validateDomain(domain string) error {
	if domain == "" {
		return nil
	}
	return validateIdentifier("domain", domain)
}

func validatePlacementTags(tags []string) error {
	var errs []error
	for i, tag := range tags {
		if tag == "" {
			errs = append(errs, Invalid(fmt.Sprintf("placementTags[%d]", i), "must not be empty"))
		}
	}
	return errors.Join(errs...)
}

func validatePorts(ports []int32) error {
	var errs []error
	for i, port := range ports {
		errs = append(errs, validatePort(fmt.Sprintf("ports[%d]", i), port))
	}
	return errors.Join(errs...)
}
