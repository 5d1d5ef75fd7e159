package steps

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/irene-cf/irene/opi"
)

// Validate checks everything that must hold. The error joins one *opi.FieldError
// for each fault.
func (c FetchConfig) Validate() error {
	errs := []error{
		validateFolder("workspace", c.Workspace),
		validateURL("appURL", c.AppURL),
		validateChecksum("appChecksum", c.AppChecksum),
		validateChecksum("cacheChecksum", c.CacheChecksum),
		opi.Within("tls", c.TLS.validate()),
		opi.Within("limits", c.Limits.validate()),
	}
	if c.CacheURL != "" {
		errs = append(errs, validateURL("cacheURL", c.CacheURL))
	}
	if c.Parallel < 0 {
		errs = append(errs, opi.Invalid("parallel", "must not be negative"))
	}
	keys := map[string]bool{}
	for i, buildpack := range c.Buildpacks {
		field := fmt.Sprintf("buildpacks[%d]", i)
		errs = append(errs, validateKey(field+".key", buildpack.Key), validateChecksum(field+".checksum", buildpack.Checksum))
		if keys[buildpack.Key] {
			errs = append(errs, opi.Invalid(field+".key", "is another buildpack's too; give each once"))
		}
		keys[buildpack.Key] = true
		// A user may give anything as a buildpack's URL; what can't be fetched is
		// told to the user when it is tried.
		if buildpack.URL == "" {
			errs = append(errs, opi.Invalid(field+".url", "is missing"))
		}
	}
	return errors.Join(errs...)
}

// Validate checks everything that must hold. The error joins one *opi.FieldError
// for each fault.
func (c BuildConfig) Validate() error {
	errs := []error{validateFolder("workspace", c.Workspace)}
	if c.Home != "" {
		errs = append(errs, validateFolder("home", c.Home))
	}
	if len(c.Buildpacks) == 0 {
		errs = append(errs, opi.Invalid("buildpacks", "there is none"))
	}
	for i, buildpack := range c.Buildpacks {
		errs = append(errs, validateKey(fmt.Sprintf("buildpacks[%d].key", i), buildpack.Key))
	}
	if c.MemoryMiB < 0 {
		errs = append(errs, opi.Invalid("memoryMiB", "must not be negative"))
	}
	if c.DiskMiB < 0 {
		errs = append(errs, opi.Invalid("diskMiB", "must not be negative"))
	}
	return errors.Join(errs...)
}

// Validate checks everything that must hold. The error joins one *opi.FieldError
// for each fault.
func (c PushConfig) Validate() error {
	errs := []error{
		validateFolder("workspace", c.Workspace),
		validateURL("dropletURL", c.DropletURL),
		opi.Within("tls", c.TLS.validate()),
		opi.Within("registry", c.Registry.validate()),
		opi.Within("limits", c.Limits.validate()),
	}
	if c.Stack == "" {
		errs = append(errs, opi.Invalid("stack", "is missing"))
	}
	if c.CacheURL != "" {
		errs = append(errs, validateURL("cacheURL", c.CacheURL))
	}
	return errors.Join(errs...)
}

func (c RegistryConfig) validate() error {
	var errs []error
	if c.Address == "" {
		errs = append(errs, opi.Invalid("address", "is missing"))
	}
	if (c.UsernameFile == "") != (c.PasswordFile == "") {
		errs = append(errs, opi.Invalid("usernameFile", "goes with passwordFile, both or neither"))
	}
	return errors.Join(errs...)
}

func (f TLSFiles) validate() error {
	if (f.Certificate == "") != (f.Key == "") {
		return opi.Invalid("certificate", "goes with key, both or neither")
	}
	return nil
}

func (l Limits) validate() error {
	var errs []error
	if l.ArchiveBytes < 0 {
		errs = append(errs, opi.Invalid("archiveBytes", "must not be negative"))
	}
	if l.UnpackedBytes < 0 {
		errs = append(errs, opi.Invalid("unpackedBytes", "must not be negative"))
	}
	if l.Entries < 0 {
		errs = append(errs, opi.Invalid("entries", "must not be negative"))
	}
	return errors.Join(errs...)
}

func validateFolder(field, folder string) error {
	if !filepath.IsAbs(folder) {
		return opi.Invalid(field, "is not an absolute path")
	}
	return nil
}

// validateURL never quotes the URL.
func validateURL(field, text string) error {
	if _, err := opi.ParseHTTPURL(text); err != nil {
		return opi.Invalid(field, "is not an http or https URL")
	}
	return nil
}

func validateKey(field, key string) error {
	switch {
	case key == "":
		return opi.Invalid(field, "is missing")
	case key != PublicKey(key):
		return opi.Invalid(field, "is a URL with a password or a query, which the build must not see")
	}
	return nil
}

func validateChecksum(field string, checksum opi.Checksum) error {
	length := map[string]int{"": 0, "sha1": 40, "sha256": 64}
	want, known := length[checksum.Algorithm]
	if !known {
		return opi.Invalid(field+".algorithm", "must be sha1 or sha256")
	}
	if _, err := hex.DecodeString(checksum.Value); err != nil || len(checksum.Value) != want {
		return opi.Invalid(field+".value", "is not a digest of that algorithm in hex")
	}
	return nil
}
