package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/bits/registry"
)

// requiredByRegistry is what a registry's file has to hold.
const requiredByRegistry = "users: [{name: irene, password_file: /etc/push}]\n"

func TestRegistryConfigurationValues(t *testing.T) {
	g := NewWithT(t)
	config, err := parseRegistryConfiguration([]byte(requiredByRegistry))
	g.Expect(err).NotTo(HaveOccurred())
	logger := lager.NewLogger("test")
	metrics := prometheus.NewRegistry()
	g.Expect(config.options(logger, metrics)).To(Equal(registry.Options{
		Directory:    "/var/lib/irene-registry",
		Users:        []registry.User{{Name: "irene", PasswordFile: "/etc/push"}},
		MinFreeBytes: 2 << 30,
		MinAge:       24 * time.Hour,
		UploadIdle:   time.Hour,
		CollectEvery: 24 * time.Hour,
		Logger:       logger,
		Registerer:   metrics,
	}), "defaults")

	config, err = parseRegistryConfiguration([]byte(`
storage: {directory: /data, min_free_bytes: 0}
users: [{name: a, password_file: b}, {read_only: true, name: c, password_file: d}]
garbage_collection:
  interval: 0s
  min_age: 1h
  upload_idle: 5m
  unused: [{repositories: "a/*", after: 720h}, {repositories: b, after: 1s}]
`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.options(nil, nil)).To(Equal(registry.Options{
		Directory:  "/data",
		Users:      []registry.User{{Name: "a", PasswordFile: "b"}, {Name: "c", PasswordFile: "d", ReadOnly: true}},
		MinAge:     time.Hour,
		UploadIdle: 5 * time.Minute,
		Unused:     []registry.Unused{{Repositories: "a/*", After: 720 * time.Hour}, {Repositories: "b", After: time.Second}},
	}))
	_, err = parseRegistryConfiguration([]byte("anonymous: true"))
	g.Expect(err).NotTo(HaveOccurred())
}

func TestRegistryConfigurationFaults(t *testing.T) {
	for name, example := range map[string]struct {
		yaml string
		want []string
	}{
		"nothing": {"", []string{
			"  users: is required, unless anonymous is set",
		}},
		"what the registry refuses": {`
anonymous: true
storage: {directory: "", min_free_bytes: -1}
users: [{name: "a:b", password_file: x}, {name: Users}, {name: Users, password_file: x}, {}]
garbage_collection: {interval: -1s, min_age: 59m, upload_idle: 1m, unused: [{repositories: "[", after: 1h}]}
`, []string{
			"  anonymous: is set although there are users; choose one",
			"  garbage_collection.interval: -1s must be at least 0s",
			"  garbage_collection.min_age: 59m0s must be at least 1h0m0s: what clients are about to refer to would be removed",
			"  garbage_collection.unused[0].repositories: \"[\" is not a pattern",
			"  garbage_collection.upload_idle: 1m0s must be at least 5m0s",
			"  storage.directory: is required",
			"  storage.min_free_bytes: -1 must not be negative",
			"  users[0].name: \"a:b\" has a colon, which ends a name in a request",
			"  users[1].password_file: is required",
			"  users[2].name: \"Users\" is there twice",
			"  users[3].name: is required",
		}},
		"a rule without a time": {requiredByRegistry + "garbage_collection: {unused: [{repositories: a, after: 1h}, {repositories: b}]}", []string{
			"  garbage_collection.unused[1].after: 0s must be more than 0s",
		}},
		"unknown keys and values of the wrong kind, in lists too": {`
users:
  - {name: a, password: secret, password_file: x}
  - {name: 3, password_file: [x], read_only: maybe}
  - 5
  - {name: d, password_file: x}
garbage_collection:
  interval: 24
  min_age: soon
  unused: [{repository: a, repositories: a, after: 30d}, {repositories: "b/*", after: {h: 1}}]
listen: {tls: on, adress: ":1"}
storage: {min_free_bytes: 2G}
`, []string{
			"  garbage_collection.interval: 24 is not a duration",
			"  garbage_collection.min_age: \"soon\" is not a duration",
			"  garbage_collection.unused[0].after: \"30d\" is not a duration",
			"  garbage_collection.unused[0].repository: unknown key",
			"  garbage_collection.unused[1].after: {\"h\":1} is not a duration",
			"  listen.adress: unknown key",
			"  listen.tls: is true or false, must be a mapping of keys to values",
			"  storage.min_free_bytes: is a string, must be a whole number",
			"  users[0].password: unknown key",
			"  users[1].name: is a number, must be a string",
			"  users[1].password_file: is a list, must be a string",
			"  users[1].read_only: is a string, must be true or false",
			"  users[2]: is a number, must be a mapping of keys to values",
		}},
		"a mapping instead of a list": {"users: {name: a, password_file: b}", []string{
			"  users: is a mapping, must be a list",
		}},
		"the rest": {requiredByRegistry + `
listen: {address: ":9103", tls: {key_file: k}}
log: {level: loud}
shutdown: {delay: -1s, timeout: 0s}
`, []string{
			"  listen.tls.certificate_file: must be given together with listen.tls.key_file",
			"  log.level: \"loud\" is none of debug, info, error, fatal",
			"  observe.address: must differ from listen.address",
			"  shutdown.delay: -1s must be at least 0s",
			"  shutdown.timeout: must be more than 0s",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := parseRegistryConfiguration([]byte(example.yaml))
			g.Expect(err).To(HaveOccurred())
			lines := strings.Split(err.Error(), "\n")
			g.Expect(lines).To(HaveLen(len(example.want)), err.Error())
			for i, want := range example.want {
				g.Expect(lines[i]).To(HavePrefix(want))
			}
		})
	}
}

// TestEveryOptionOfTheRegistryHasAKey keeps the registry's own names out of what
// operators read.
func TestEveryOptionOfTheRegistryHasAKey(t *testing.T) {
	g := NewWithT(t)
	keys := leaves("", reflect.ValueOf(DefaultRegistryConfiguration()))
	expect := func(prefix string, of reflect.Type) {
		for i := range of.NumField() {
			if field := of.Field(i).Name; !slices.Contains([]string{"Logger", "Registerer", "Clock", "FreeBytes"}, field) {
				g.Expect(keys).To(HaveKey(registryKeys.Replace(prefix+field)), "%s%s", prefix, field)
			}
		}
	}
	expect("", reflect.TypeFor[registry.Options]())
	expect("Users[].", reflect.TypeFor[registry.User]())
	expect("Unused[].", reflect.TypeFor[registry.Unused]())
}

func FuzzRegistryConfiguration(f *testing.F) {
	f.Add([]byte(requiredByRegistry))
	f.Add([]byte("users: [{name: 1}, [2], {read_only: {a: 1e999}}]\ngarbage_collection: {unused: [{after: 3}, null, 7]}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		config, err := parseRegistryConfiguration(content)
		var wrong faults
		if config.validate(&wrong); err == nil && wrong.err() != nil {
			t.Errorf("accepted, but not valid: %v", wrong.err())
		}
	})
}
