package steps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/irene-cf/irene/opi"
)

// ConfigVariable is the environment variable that holds a step's configuration where
// no file does. User code doesn't get it.
const ConfigVariable = "IRENE_STAGE_CONFIG"

// FetchConfig tells fetch what to fetch. It holds secrets (signed URLs, passwords
// in URLs) and belongs into a file that only the fetch container has.
type FetchConfig struct {
	// Workspace is where the shared volume is mounted, an absolute path.
	Workspace string `json:"workspace"`
	// AppURL is where the app package is, a zip archive.
	AppURL string `json:"appURL"`
	// AppChecksum is zero when it is not known.
	AppChecksum opi.Checksum `json:"appChecksum,omitzero"`
	// Buildpacks are fetched into their folders (BuildpackPath). Those that the
	// build container gets in another way, such as an image volume, are left out.
	// Keys are those of StepKeys.
	Buildpacks []opi.Buildpack `json:"buildpacks,omitempty"`
	// SkipCertVerify accepts any certificate of servers that custom buildpacks are fetched from.
	SkipCertVerify bool `json:"skipCertVerify,omitempty"`
	// CacheURL is where the last build's cache is; empty when there is none.
	CacheURL string `json:"cacheURL,omitempty"`
	// CacheChecksum is zero when it is not known.
	CacheChecksum opi.Checksum `json:"cacheChecksum,omitzero"`
	// TLS is for servers of the platform.
	TLS TLSFiles `json:"tls,omitzero"`
	// Parallel is how many things are fetched at once; 0 means 4.
	Parallel int    `json:"parallel,omitempty"`
	Limits   Limits `json:"limits,omitzero"`
}

// BuildConfig tells build what to run. It holds no secret: user code can read it.
type BuildConfig struct {
	// Workspace is where the shared volume is mounted; /tmp, unless in tests.
	Workspace string `json:"workspace"`
	// Buildpacks are tried in order, or all used when every one of them skips
	// detection. Keys are those of StepKeys.
	Buildpacks []BuildBuildpack `json:"buildpacks"`
	// Stack is the value of CF_STACK; empty leaves the environment's.
	Stack string `json:"stack,omitempty"`
	// EnvironmentFile is a JSON object of strings that is laid over the step's own
	// environment for user code; empty for none.
	EnvironmentFile string `json:"environmentFile,omitempty"`
	// Home is user code's home directory if it is there and writable, else
	// HomeFolder is; empty means /home/vcap.
	Home string `json:"home,omitempty"`
	// MemoryMiB and DiskMiB are the container's limits, to be named when they are
	// met; 0 when there is none.
	MemoryMiB int64 `json:"memoryMiB,omitempty"`
	DiskMiB   int64 `json:"diskMiB,omitempty"`
}

// BuildBuildpack is a buildpack as build knows it.
type BuildBuildpack struct {
	Name       string `json:"name"`
	Key        string `json:"key"`
	SkipDetect bool   `json:"skipDetect,omitempty"`
	// FreshCache gives the buildpack an empty cache unless it is the last one: its key
	// could be another buildpack's in an earlier build (StepKey.Lasting).
	FreshCache bool `json:"freshCache,omitempty"`
}

// PushConfig tells push where results go. Like FetchConfig it holds secrets.
type PushConfig struct {
	Workspace string `json:"workspace"`
	// Stack is the name of the stack that the droplet was built on.
	Stack string `json:"stack"`
	// DropletURL takes the droplet.
	DropletURL string `json:"dropletURL"`
	// CacheURL takes the build cache; empty when nobody wants it.
	CacheURL string `json:"cacheURL,omitempty"`
	// TLS is for Cloud Controller's uploader and Cloud Controller.
	TLS      TLSFiles       `json:"tls,omitzero"`
	Registry RegistryConfig `json:"registry"`
	Limits   Limits         `json:"limits,omitzero"`
}

// RegistryConfig says where the registry is and how to get there.
type RegistryConfig struct {
	// Address is host[:port].
	Address string `json:"address"`
	// Prefix is the path of all of Irene's repositories; empty for none.
	Prefix string `json:"prefix,omitempty"`
	// UsernameFile and PasswordFile authenticate; both empty for a registry that
	// wants neither.
	UsernameFile string `json:"usernameFile,omitempty"`
	PasswordFile string `json:"passwordFile,omitempty"`
	// CAFile holds authorities in PEM that are trusted beside the system's.
	CAFile string `json:"caFile,omitempty"`
	// PlainHTTP allows HTTP without TLS.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
	// SpoolDir takes droplets on their way to a registry that wants to know a blob's
	// size before its bytes; empty for the system's folder of temporary files.
	SpoolDir string `json:"spoolDir,omitempty"`
}

// TLSFiles name files in PEM. Certificate and Key are both there or neither is.
type TLSFiles struct {
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	// Authorities are trusted beside the system's.
	Authorities []string `json:"authorities,omitempty"`
}

// Limits bound what fetch and push handle; what build makes is bounded by its volume. Zero means the default.
type Limits struct {
	// ArchiveBytes bounds each archive as it is transferred: app package,
	// buildpack, droplet, cache. The default is 8 GiB.
	ArchiveBytes int64 `json:"archiveBytes,omitempty"`
	// UnpackedBytes bounds what each archive unpacks to. The default is 16 GiB.
	UnpackedBytes int64 `json:"unpackedBytes,omitempty"`
	// Entries bounds the files, folders and links of each archive. The default is
	// 1,000,000.
	Entries int `json:"entries,omitempty"`
}

// WithDefaults returns the limits with defaults in place of zeros.
func (l Limits) WithDefaults() Limits {
	if l.ArchiveBytes == 0 {
		l.ArchiveBytes = 8 << 30
	}
	if l.UnpackedBytes == 0 {
		l.UnpackedBytes = 16 << 30
	}
	if l.Entries == 0 {
		l.Entries = 1_000_000
	}
	return l
}

// configuration is what every step's configuration has.
type configuration interface {
	FetchConfig | BuildConfig | PushConfig
	Validate() error
}

// ParseConfig reads a step's configuration from one JSON document. Unknown fields,
// more than one document and values that can't be are errors, which name fields and
// never quote values.
func ParseConfig[C configuration](text []byte) (C, error) {
	var config, none C
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		return none, fmt.Errorf("read the configuration: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return none, errors.New("read the configuration: something follows the JSON document")
	}
	if err := config.Validate(); err != nil {
		return none, fmt.Errorf("the configuration is wrong: %w", err)
	}
	return config, nil
}
