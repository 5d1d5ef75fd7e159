package main

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/opi"
)

// Registry is where app images are.
type Registry struct {
	// Address is the registry as Irene itself reaches it, host[:port]. Empty means
	// that somebody else puts app images there, with tags that end in StackRevision.
	Address string `json:"address"`
	// PlainHTTP allows HTTP without TLS between Irene and the registry.
	PlainHTTP bool `json:"plain_http"`
	// CAFile has authorities that are trusted beside the system's.
	CAFile string `json:"ca_file"`
	// UsernameFile and PasswordFile are with what Irene logs in; both or none.
	UsernameFile string `json:"username_file"`
	PasswordFile string `json:"password_file"`
	// BuildUsernameFile and BuildPasswordFile are an account for builds, where the
	// registry takes no credentials of single builds; both empty means Irene's own.
	BuildUsernameFile string `json:"build_username_file"`
	BuildPasswordFile string `json:"build_password_file"`
	// SpoolDirectory takes droplets on their way to a registry that wants to know
	// sizes first, and buildpacks of which images are made; empty means the system's
	// folder for temporary files.
	SpoolDirectory string `json:"spool_directory"`
	// PullAddress is the registry as the nodes' container runtime reaches it,
	// host[:port]. It is required.
	PullAddress string `json:"pull_address"`
	// Prefix is the path of all app repositories within the registry.
	Prefix string `json:"prefix"`
	// StackRevision ends the tag of every app image without Address:
	// <droplet hash>-<revision>. Empty means a tag of the hash alone.
	StackRevision string `json:"stack_revision"`
	// PullSecret names a Secret with the registry's credentials in the apps'
	// namespace; empty means that none are needed.
	PullSecret string `json:"pull_secret"`
	// PullUsernameFile and PullPasswordFile are what Irene keeps PullSecret in step
	// with; both empty means that somebody else makes that Secret.
	PullUsernameFile string `json:"pull_username_file"`
	PullPasswordFile string `json:"pull_password_file"`
}

// Stacks are the root file systems of buildpack apps.
type Stacks struct {
	// Names of the stacks; the first is for droplets that don't say theirs.
	Names []string `json:"names"`
	// CheckInterval is how often the registry is asked for their digests.
	CheckInterval Duration `json:"check_interval"`
	// Platform of the stacks, os/architecture; empty means linux and the architecture
	// of Irene itself.
	Platform string `json:"platform"`
	// LaunchFile is the program that becomes /lifecycle/launch; empty means launch
	// beside the irene program.
	LaunchFile string `json:"launch_file"`
}

// Droplets is how droplets become layers and images.
type Droplets struct {
	// Compression of layers, gzip or zstd.
	Compression droplet.Compression `json:"compression"`
	// MaxBytes and MaxUnpackedBytes bound a droplet as it comes and unpacked.
	MaxBytes         int64 `json:"max_bytes"`
	MaxUnpackedBytes int64 `json:"max_unpacked_bytes"`
	// Patience is how long a request waits for an image; the work goes on after it.
	Patience Duration `json:"patience"`
	// AssemblyTimeout bounds the work on one image.
	AssemblyTimeout Duration `json:"assembly_timeout"`
	// ParallelAssemblies and ParallelDownloads bound what goes on at once.
	ParallelAssemblies int           `json:"parallel_assemblies"`
	ParallelDownloads  int           `json:"parallel_downloads"`
	Source             DropletSource `json:"source"`
}

// DropletSource is where droplets are fetched that the registry lacks. There is none
// without URL, URLFile and CloudController.
type DropletSource struct {
	// URL of a droplet, with {droplet_guid}, {hash}, {process_guid} and {partition}.
	URL string `json:"url"`
	// URLFile holds such a URL, which may have credentials in it.
	URLFile string `json:"url_file"`
	// CloudController is the address of Cloud Controller's port for mutual TLS. It can't
	// serve most droplets (see bits.HTTPSourceOptions) and is read so that an upgrade
	// does not keep irene from starting.
	CloudController string `json:"cloud_controller"`
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
	CAFile          string `json:"ca_file"`
	UsernameFile    string `json:"username_file"`
	PasswordFile    string `json:"password_file"`
	// PlainHTTP allows a source, and redirects, without TLS.
	PlainHTTP bool `json:"plain_http"`
	// Timeout bounds an answer's begin, and how long its bytes may stand still.
	Timeout Duration `json:"timeout"`
}

func defaultDroplets() Droplets {
	return Droplets{
		Compression:        droplet.Gzip,
		MaxBytes:           bits.DefaultMaxDropletBytes,
		MaxUnpackedBytes:   droplet.DefaultMaxUncompressedBytes,
		Patience:           Duration{Duration: bits.DefaultAssemblyPatience},
		AssemblyTimeout:    Duration{Duration: bits.DefaultAssemblyTimeout},
		ParallelAssemblies: bits.DefaultParallelAssemblies,
		ParallelDownloads:  bits.DefaultParallelFetches,
		Source:             DropletSource{Timeout: Duration{Duration: bits.DefaultSourceTimeout}},
	}
}

// registryHost checks host[:port].
func (f *faults) registryHost(key, address string) {
	switch _, err := name.NewRegistry(address); {
	case strings.Contains(address, "/"):
		f.add(key, "%q must be host or host:port, without scheme and path", address)
	case err != nil:
		f.add(key, "%q is not host or host:port", address)
	}
}

// pair checks that two keys are given together or not at all.
func (f *faults) pair(prefix, one, other string, values ...string) {
	if (values[0] == "") != (values[1] == "") {
		f.add(prefix+"."+one, "must be given together with %s.%s", prefix, other)
	}
}

func (r Registry) validate(wrong *faults) {
	if r.Address != "" {
		wrong.registryHost("registry.address", r.Address)
		if r.StackRevision != "" {
			wrong.add("registry.stack_revision", "is only for images that somebody else makes, without registry.address")
		}
	}
	if wrong.required("registry.pull_address", r.PullAddress) {
		wrong.registryHost("registry.pull_address", r.PullAddress)
	}
	wrong.pair("registry", "username_file", "password_file", r.UsernameFile, r.PasswordFile)
	wrong.pair("registry", "build_username_file", "build_password_file", r.BuildUsernameFile, r.BuildPasswordFile)
	if wrong.required("registry.prefix", r.Prefix) {
		// The registry is another key's; any will do to check the path.
		if _, err := name.NewRepository("registry.example/" + r.Prefix + "/app"); err != nil {
			wrong.add("registry.prefix", "%q can't begin a repository's name (lower-case letters, digits, and '.', '_', '-' or '/' between them)", r.Prefix)
		}
	}
	if len(r.StackRevision) > maxTagRevision {
		wrong.add("registry.stack_revision", "%q is longer than %d characters", r.StackRevision, maxTagRevision)
	} else {
		wrong.name("registry.stack_revision", r.StackRevision, validation.IsValidLabelValue)
	}
	if r.PullSecret != "" {
		wrong.name("registry.pull_secret", r.PullSecret, validation.IsDNS1123Subdomain)
	}
	wrong.pair("registry", "pull_username_file", "pull_password_file", r.PullUsernameFile, r.PullPasswordFile)
	if r.PullUsernameFile != "" && r.PullSecret == "" {
		wrong.add("registry.pull_secret", "is required with pull_username_file: the name of the Secret that irene makes")
	}
}

func (s Stacks) validate(wrong *faults) {
	if len(s.Names) == 0 {
		wrong.add("stacks.names", "is required: the names of stacks, the default one first")
	}
	known := map[string]bool{}
	for i, stack := range s.Names {
		key := fmt.Sprintf("stacks.names[%d]", i)
		if err := bits.ValidateStackName(stack); err != nil {
			wrong.add(key, "%v", err)
		}
		if known[stack] {
			wrong.add(key, "%q is listed twice", stack)
		}
		known[stack] = true
	}
	wrong.duration("stacks.check_interval", s.CheckInterval, leastPatience)
	if _, err := bits.PlatformOf(s.Platform); err != nil {
		wrong.add("stacks.platform", "%v", err)
	}
}

func (d Droplets) validate(wrong *faults) {
	if d.Compression != droplet.Gzip && d.Compression != droplet.Zstd {
		wrong.add("droplets.compression", "%q is neither %s nor %s", d.Compression, droplet.Gzip, droplet.Zstd)
	}
	for key, value := range map[string]int64{
		"max_bytes": d.MaxBytes, "max_unpacked_bytes": d.MaxUnpackedBytes,
		"parallel_assemblies": int64(d.ParallelAssemblies), "parallel_downloads": int64(d.ParallelDownloads),
	} {
		if value < 1 {
			wrong.add("droplets."+key, "%d must be at least 1", value)
		}
	}
	if wrong.positive("droplets.patience", d.Patience) && d.Patience.Duration > cloudControllerPatience {
		wrong.add("droplets.patience", "%s is longer than %s, after which the API answers in any case", d.Patience, cloudControllerPatience)
	}
	wrong.positive("droplets.assembly_timeout", d.AssemblyTimeout)
	source := d.Source
	switch {
	case source.URL != "" && source.URLFile != "":
		wrong.add("droplets.source.url", "is given although droplets.source.url_file is; choose one")
	case (source.URL != "" || source.URLFile != "") && source.CloudController != "":
		wrong.add("droplets.source.cloud_controller", "is given although there is a URL; remove it: %s", cloudControllerIsNoSource)
	}
	for key, address := range map[string]string{"url": source.URL, "cloud_controller": source.CloudController} {
		if address == "" {
			continue
		}
		u, err := opi.ParseHTTPURL(address)
		switch {
		case err != nil || u.User != nil:
			// The value is not shown: it may hold a password.
			wrong.add("droplets.source."+key, "must begin with https://host/ (or http://), without a user; droplets.source.url_file may have one")
		case u.Scheme == "http" && !source.PlainHTTP:
			wrong.add("droplets.source."+key, "is without TLS; if that is meant, set droplets.source.plain_http")
		}
	}
	wrong.pair("droplets.source", "certificate_file", "key_file", source.CertificateFile, source.KeyFile)
	wrong.pair("droplets.source", "username_file", "password_file", source.UsernameFile, source.PasswordFile)
	wrong.positive("droplets.source.timeout", source.Timeout)
}
