package opi

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Build makes a droplet of an app's source code with buildpacks, or finds out how
// a docker image wants to be run.
type Build struct {
	// GUID is Cloud Controller's build guid, also called staging guid.
	GUID string `json:"guid"`
	// Door is by which the build was asked for.
	Door Door `json:"-"`
	// Request identifies the request that desired the build. While its record is young, the same
	// request again succeeds, since its sender may have missed the answer; another one fails
	// with [ErrExists]. It is empty for doors where any repeat succeeds.
	Request      string `json:"-"`
	App          Owner  `json:"app,omitzero"`
	Space        Owner  `json:"space,omitzero"`
	Organization Owner  `json:"organization,omitzero"`

	// Domain names the set of builds of the caller; as that of an LRP.
	Domain string `json:"domain,omitempty"`

	// Source is set for a build with buildpacks, Image for a docker image; exactly
	// one of them.
	Source *Source `json:"source,omitempty"`
	Image  *Image  `json:"image,omitempty"`

	// Environment may hold secrets: a back end never stores it beside the rest.
	Environment map[string]string `json:"environment,omitempty"`
	// Limits bound the build.
	Limits Limits `json:"limits,omitzero"`
	// Timeout ends the build as failed; 0 means the platform's own bound.
	Timeout time.Duration `json:"timeout,omitempty"`
	// EgressRules are the destinations that the build may connect to.
	EgressRules []EgressRule `json:"egressRules,omitempty"`
	// PlacementTags name the isolation segment: a cell must carry all of them.
	PlacementTags []string `json:"placementTags,omitempty"`
	// MetricTags go with every metric and log line of the build.
	MetricTags map[string]MetricTag `json:"metricTags,omitempty"`
	// OrganizationalUnits go into the identity certificate.
	OrganizationalUnits []string `json:"organizationalUnits,omitempty"`
	// Files are placed into the build's container.
	Files []File `json:"files,omitempty"`
	// TrustedCertificatesPath is as that of an LRP.
	TrustedCertificatesPath string `json:"trustedCertificatesPath,omitempty"`
	// CompletionCallback is the URL to which the outcome is reported.
	CompletionCallback string `json:"completionCallback,omitempty"`
}

// Source is what a build with buildpacks starts from and where its results go. The
// URLs may carry signatures or credentials: they are never logged.
type Source struct {
	// Stack is the name of the stack to build on; empty for the default one.
	Stack string `json:"stack,omitempty"`
	// AppBitsURL is where the app's source code is, a zip archive.
	AppBitsURL string `json:"appBitsURL"`
	// AppBitsChecksum is zero when the caller gave none.
	AppBitsChecksum Checksum `json:"appBitsChecksum,omitzero"`
	// DropletUploadURL takes the droplet.
	DropletUploadURL string `json:"dropletUploadURL"`
	// Buildpacks are tried in order, or all used where they skip detection.
	Buildpacks []Buildpack `json:"buildpacks,omitempty"`
	// CacheDownloadURL is where the last build's cache is; empty for a first build.
	CacheDownloadURL string   `json:"cacheDownloadURL,omitempty"`
	CacheChecksum    Checksum `json:"cacheChecksum,omitzero"`
	CacheUploadURL   string   `json:"cacheUploadURL,omitempty"`
	// SkipCertVerify accepts any certificate of the servers that custom buildpacks are fetched from.
	SkipCertVerify bool `json:"skipCertVerify,omitempty"`
}

// Buildpack turns source code into a droplet.
type Buildpack struct {
	// Name is what users call it, Key what Cloud Controller does.
	Name string `json:"name"`
	Key  string `json:"key"`
	// URL is a zip archive or a git repository.
	URL string `json:"url"`
	// Checksum is zero when the caller gave none.
	Checksum Checksum `json:"checksum,omitzero"`
	// SkipDetect uses the buildpack without asking it.
	SkipDetect bool `json:"skipDetect,omitempty"`
}

// Validate checks everything that must hold for a build. The error joins one
// *FieldError for each fault.
func (b Build) Validate() error {
	errs := []error{
		validateIdentifier("guid", b.GUID),
		validateOwner("app", b.App),
		validateOwner("space", b.Space),
		validateOwner("organization", b.Organization),
		ValidateEnvironment(b.Environment),
		b.Limits.Validate(),
		validateCallback(b.CompletionCallback),
		validateSurroundings(b.Domain, b.EgressRules, b.PlacementTags, b.MetricTags, b.Files, b.TrustedCertificatesPath),
	}
	if b.Timeout < 0 {
		errs = append(errs, Invalid("timeout", "must not be negative, is %s", b.Timeout))
	}
	switch {
	case b.Source != nil && b.Image != nil:
		errs = append(errs, Invalid("source", "source code and an image exclude each other"))
	case b.Source != nil:
		errs = append(errs, Within("source", b.Source.validate()))
	case b.Image != nil:
		errs = append(errs, Within("image", b.Image.Validate()))
	default:
		errs = append(errs, Invalid("source", "neither source code nor an image is given"))
	}
	return errors.Join(errs...)
}

func (s Source) validate() error {
	errs := []error{
		validateURL("appBitsURL", s.AppBitsURL),
		validateURL("dropletUploadURL", s.DropletUploadURL),
	}
	if s.AppBitsChecksum != (Checksum{}) {
		errs = append(errs, Within("appBitsChecksum", s.AppBitsChecksum.Validate()))
	}
	if s.CacheDownloadURL != "" {
		errs = append(errs, validateURL("cacheDownloadURL", s.CacheDownloadURL))
	}
	if s.CacheUploadURL != "" {
		errs = append(errs, validateURL("cacheUploadURL", s.CacheUploadURL))
	}
	if len(s.Buildpacks) == 0 {
		errs = append(errs, Invalid("buildpacks", "there is none"))
	}
	for i, buildpack := range s.Buildpacks {
		field := fmt.Sprintf("buildpacks[%d]", i)
		if buildpack.Key == "" {
			errs = append(errs, Invalid(field+".key", "is missing"))
		}
		if buildpack.URL == "" || strings.ContainsRune(buildpack.URL, 0) {
			errs = append(errs, Invalid(field+".url", "is missing or contains a NUL byte"))
		}
	}
	return errors.Join(errs...)
}

func validateCallback(callback string) error { return validateURL("completionCallback", callback) }

// validateURL never quotes the URL, which may carry credentials.
func validateURL(field, text string) error {
	if _, err := ParseHTTPURL(text); err != nil {
		return Invalid(field, "is not an http or https URL")
	}
	return nil
}
