package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/bits/registry"
)

// RegistryConfiguration is everything that can be set for "irene registry serve", as
// read from one YAML file. docs/registry.md documents each key; a test keeps the two in
// step.
type RegistryConfiguration struct {
	Listen   RegistryListen  `json:"listen"`
	Observe  Observe         `json:"observe"`
	Log      Log             `json:"log"`
	Shutdown Shutdown        `json:"shutdown"`
	Storage  RegistryStorage `json:"storage"`
	// Anonymous lets everybody read, write and delete; there are no Users then.
	Anonymous bool `json:"anonymous"`
	// Users may use the registry; at least one is required unless Anonymous is set.
	Users             []RegistryUser    `json:"users"`
	GarbageCollection GarbageCollection `json:"garbage_collection"`
}

// RegistryListen is where clients and nodes reach the registry.
type RegistryListen struct {
	// Address is host:port; an empty host is every address of the machine.
	Address string `json:"address"`
	// TLS is optional: without it passwords and images can be read on their way.
	TLS RegistryTLS `json:"tls"`
	// MaxConnections bounds open connections; see boundConnections.
	MaxConnections int `json:"max_connections"`
}

// RegistryTLS is the registry's own certificate; both files or none. They are PEM and
// are read again when their content changes.
type RegistryTLS struct {
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
}

// RegistryStorage is where images are kept.
type RegistryStorage struct {
	// Directory holds the content and nothing else. It is made when it is missing.
	Directory string `json:"directory"`
	// MinFreeBytes is the free space of its file system below which uploads are
	// refused; 0 for no bound.
	MinFreeBytes int64 `json:"min_free_bytes"`
}

// RegistryUser may use the registry by name and password.
type RegistryUser struct {
	Name string `json:"name"`
	// PasswordFile holds one password a line, each of them good. It is read again when
	// its content changes.
	PasswordFile string `json:"password_file"`
	// ReadOnly allows pulls alone.
	ReadOnly bool `json:"read_only"`
}

// GarbageCollection is what is removed, and when.
type GarbageCollection struct {
	// Interval is the time between collections; with 0 there are only those that low
	// space starts.
	Interval Duration `json:"interval"`
	// MinAge is how long something that nothing refers to is kept after its last use.
	MinAge Duration `json:"min_age"`
	// UploadIdle is how long an unfinished upload is kept after its last byte.
	UploadIdle Duration `json:"upload_idle"`
	// Unused are rules by which tags are forgotten; none by default. Of several that
	// fit a repository the first counts.
	Unused []UnusedTags `json:"unused"`
}

// UnusedTags is a rule by which tags are forgotten that nobody asked for.
type UnusedTags struct {
	// Repositories is a pattern for whole names, as of path.Match.
	Repositories string `json:"repositories"`
	// After is the time since a tag was last pushed or asked for.
	After Duration `json:"after"`
}

// DefaultRegistryConfiguration is what an empty file means. It isn't valid by itself:
// users have no default.
func DefaultRegistryConfiguration() RegistryConfiguration {
	return RegistryConfiguration{
		Listen:   RegistryListen{Address: ":5000", MaxConnections: 500},
		Observe:  Observe{Address: ":9103"},
		Log:      Log{Level: "info"},
		Shutdown: Shutdown{Delay: Duration{Duration: 5 * time.Second}, Timeout: Duration{Duration: 30 * time.Second}},
		Storage:  RegistryStorage{Directory: "/var/lib/irene-registry", MinFreeBytes: registry.DefaultMinFreeBytes},
		GarbageCollection: GarbageCollection{
			Interval:   Duration{Duration: registry.DefaultCollectEvery},
			MinAge:     Duration{Duration: registry.DefaultMinAge},
			UploadIdle: Duration{Duration: registry.DefaultUploadIdle},
		},
	}
}

// LoadRegistry reads the file at path over the defaults and validates the outcome. Its
// error lists every fault, each with the key that it concerns.
func LoadRegistry(path string) (RegistryConfiguration, error) {
	return loadFile(path, parseRegistryConfiguration)
}

func parseRegistryConfiguration(content []byte) (RegistryConfiguration, error) {
	return parse(content, DefaultRegistryConfiguration, RegistryConfiguration.validate)
}

// options are the registry's. They need a logger to be valid.
func (c RegistryConfiguration) options(logger lager.Logger, metrics prometheus.Registerer) registry.Options {
	o := registry.Options{
		Directory:    c.Storage.Directory,
		Anonymous:    c.Anonymous,
		MinFreeBytes: c.Storage.MinFreeBytes,
		MinAge:       c.GarbageCollection.MinAge.Duration,
		UploadIdle:   c.GarbageCollection.UploadIdle.Duration,
		CollectEvery: c.GarbageCollection.Interval.Duration,
		Logger:       logger,
		Registerer:   metrics,
	}
	for _, user := range c.Users {
		o.Users = append(o.Users, registry.User(user))
	}
	for _, rule := range c.GarbageCollection.Unused {
		o.Unused = append(o.Unused, registry.Unused{Repositories: rule.Repositories, After: rule.After.Duration})
	}
	return o
}

func (c RegistryConfiguration) validate(wrong *faults) {
	wrong.address("listen.address", c.Listen.Address)
	wrong.pair("listen.tls", "certificate_file", "key_file", c.Listen.TLS.CertificateFile, c.Listen.TLS.KeyFile)
	wrong.atLeastOne("listen.max_connections", c.Listen.MaxConnections)
	c.Observe.validate(wrong, c.Listen.Address)
	c.Log.validate(wrong)
	c.Shutdown.validate(wrong)
	wrong.duration("garbage_collection.interval", c.GarbageCollection.Interval, 0)
	wrong.duration("garbage_collection.min_age", c.GarbageCollection.MinAge, 0)
	wrong.duration("garbage_collection.upload_idle", c.GarbageCollection.UploadIdle, 0)
	for i, rule := range c.GarbageCollection.Unused {
		wrong.duration(fmt.Sprintf("garbage_collection.unused[%d].after", i), rule.After, 0)
	}
	// What is left is the registry's to say.
	if err := c.options(lager.NewLogger("validate"), nil).Validate(); err != nil {
		if other := wrong.registryOptions(err); other != nil {
			wrong.add("registry", "%v", other)
		}
	}
}

// registryKeys turns the fields of registry.Options and below into keys of the file.
var registryKeys = strings.NewReplacer(
	"Directory", "storage.directory",
	"MinFreeBytes", "storage.min_free_bytes",
	"Anonymous", "anonymous",
	"Users", "users",
	".Name", ".name",
	".PasswordFile", ".password_file",
	".ReadOnly", ".read_only",
	"CollectEvery", "garbage_collection.interval",
	"MinAge", "garbage_collection.min_age",
	"UploadIdle", "garbage_collection.upload_idle",
	"Unused", "garbage_collection.unused",
	".Repositories", ".repositories",
	".After", ".after",
)

// registryField is how a fault names a field of registry.Options or below.
var registryField = regexp.MustCompile(`^[A-Z]\w*(\[\d+\]\.\w+)?$`)

// registryOptions adds the faults in an error of registry.Options.Validate or
// registry.New, each of which begins with the field that it is about. It returns what
// is something else.
func (f *faults) registryOptions(err error) (other error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, fault := range all {
		field, reason, _ := strings.Cut(fault.Error(), ": ")
		if !registryField.MatchString(field) {
			return err
		}
		if field == "Users" || field == "Anonymous" {
			// These two speak of each other.
			reason = registryKeys.Replace(reason)
		}
		f.add(registryKeys.Replace(field), "%s", reason)
	}
	return nil
}
