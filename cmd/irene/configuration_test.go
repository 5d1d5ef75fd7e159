package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/irene-cf/irene/bits"
)

// required is what a file has to hold.
const required = `
kubernetes: {namespace: apps}
registry: {pull_address: "127.0.0.1:32123"}
listen: {tls: {certificate_file: c, key_file: k, client_ca_file: a, client_names: [cloud_controller]}}
`

func TestConfigurationDefaults(t *testing.T) {
	g := NewWithT(t)
	config, err := parseConfiguration([]byte(required))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Listen.WriteTimeout.Duration).To(Equal(2 * time.Minute))
	g.Expect(config.LeaderElection.Enabled).To(BeTrue())
	g.Expect(config.LeaseNamespace()).To(Equal("apps"))
	g.Expect(config.Validate()).To(Succeed())
}

func TestConfigurationValues(t *testing.T) {
	g := NewWithT(t)
	config, err := parseConfiguration([]byte(required + `
apps:
  user_namespaces: on
  pre_stop_sleep: 0s
  placement: {shared: unlabelled}
leader_election: {enabled: false, namespace: control}
`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Apps.UserNamespaces).To(Equal(On))
	g.Expect(config.Apps.PreStopSleep.Duration).To(BeZero())
	g.Expect(config.Apps.TerminationGrace.Duration).To(Equal(15*time.Second), "keys that aren't given keep their default")
	g.Expect(config.Apps.Placement.Shared).To(Equal(SharedUnlabelled))
	g.Expect(config.Apps.Placement.NodeLabel).To(Equal("cloudfoundry.org/isolation-segment"))
	g.Expect(config.LeaderElection.Enabled).To(BeFalse())
	g.Expect(config.LeaseNamespace()).To(Equal("control"))
}

func TestConfigurationFaults(t *testing.T) {
	for name, example := range map[string]struct {
		yaml string
		want []string
	}{
		"nothing": {"", []string{
			"  kubernetes.namespace: is required",
			"  listen.tls.certificate_file: is required",
			"  listen.tls.client_ca_file: is required",
			"  listen.tls.client_names: is required: the common names or DNS names of the clients that may call, such as cloud_controller",
			"  listen.tls.key_file: is required",
			"  registry.pull_address: is required",
		}},
		"unknown keys, at any depth": {required + "foo: 1\napps: {probes: {Timeout: 3s}}\n", []string{
			"  apps.probes.Timeout: unknown key",
			"  foo: unknown key",
		}},
		"values of the wrong kind": {required + "leader_election: {enabled: 3, identity: 7}\napps: {default_disk_mb: much, probes: 5}\nobserve: []\n", []string{
			"  apps.default_disk_mb: is a string, must be a whole number",
			"  apps.probes: is a number, must be a mapping of keys to values",
			"  leader_election.enabled: is a number, must be true or false",
			"  leader_election.identity: is a number, must be a string (in quotes if it looks like something else)",
			"  observe: is a list, must be a mapping of keys to values",
		}},
		"all kinds of faults at once": {"kubernetes: {namespace: Apps}\nlisten: {plaintext: true, idle_timeout: 15s, read_timeout: 30, foo: 1}\nregistry: {pull_address: \"https://r\", stack_revision: 1.5}\n", []string{
			"  kubernetes.namespace: \"Apps\" can't be used: a lowercase RFC 1123 label",
			"  listen.foo: unknown key",
			"  listen.idle_timeout: 15s is too short: Cloud Controller reuses a connection for up to 15s",
			"  listen.plaintext: is only allowed with a listen.address on loopback, such as 127.0.0.1:8085, not \":8085\"",
			"  listen.read_timeout: 30 is not a duration; write a number and a unit, as in 500ms, 30s or 2m",
			"  registry.pull_address: \"https://r\" must be host or host:port, without scheme and path",
			"  registry.stack_revision: is a number",
		}},
		"apps": {required + `
apps:
  default_disk_mb: 0
  service_account: "A b"
  termination_grace: 5s
  pre_stop_sleep: 5s
  user_namespaces: maybe
  image_user_lookup_timeout: 0s
  orphan_min_age: 30ms
  placement: {node_label: "a b", shared: some}
  probes: {liveness_period: 500ms, liveness_failures: 0, readiness_period: 1500ms, readiness_failures: -1, timeout: soon}
`, []string{
			"  apps.default_disk_mb: 0 must be at least 1 (MiB)",
			"  apps.image_user_lookup_timeout: must be more than 0s",
			"  apps.orphan_min_age: 30ms must be at least 1s",
			"  apps.placement.node_label: \"a b\" can't be used: name part must consist of",
			"  apps.placement.shared: \"some\" is neither any nor unlabelled",
			"  apps.pre_stop_sleep: 5s must be shorter than termination_grace, 5s, which includes it",
			"  apps.probes.liveness_failures: 0 must be at least 1",
			"  apps.probes.liveness_period: 500ms must be at least 1s",
			"  apps.probes.readiness_failures: -1 must be at least 1",
			"  apps.probes.readiness_period: 1.5s is not whole seconds, as Kubernetes needs them",
			"  apps.probes.timeout: \"soon\" is not a duration",
			"  apps.service_account: \"A b\" can't be used",
			"  apps.user_namespaces: \"maybe\" is neither on nor off",
		}},
		"pods": {strings.Replace(required, "namespace: apps", `namespace: apps, pods: {
  host_aliases: [{ip: uaa, hostnames: []}, {ip: 192.0.2.1, hostnames: [cloud_controller]}, {ip: 192.0.2.1, hostnames: [other]}],
  dns: {policy: None, searches: [a b], options: [""]}}`, 1), []string{
			"  kubernetes.pods.dns.nameservers: is required with kubernetes.pods.dns.policy None",
			"  kubernetes.pods.dns.options[0]: \"\" is not an option of resolv.conf, such as ndots:2",
			"  kubernetes.pods.dns.searches[0]: \"a b\" can't be used",
			"  kubernetes.pods.host_aliases[0].hostnames: is required",
			"  kubernetes.pods.host_aliases[0].ip: \"uaa\" is not an IP address",
			"  kubernetes.pods.host_aliases[1].hostnames[0]: \"cloud_controller\" can't be used",
			"  kubernetes.pods.host_aliases[2].ip: 192.0.2.1 is in another entry, too",
		}},
		"the DNS of pods": {strings.Replace(required, "namespace: apps", `namespace: apps, pods: {
  dns: {policy: Host, nameservers: [192.0.2.1, 192.0.2.2, 192.0.2.3, bosh-dns]}}`, 1), []string{
			"  kubernetes.pods.dns.nameservers: lists 4; a pod takes 3 at most",
			"  kubernetes.pods.dns.policy: \"Host\" is none of ClusterFirst, Default, None",
		}},
		"tasks": {required + "tasks: {deadline: 1500ms, scheduling_patience: 0s, pull_patience: 10ms}\n", []string{
			"  tasks.deadline: 1.5s is not whole seconds, as Kubernetes needs them",
			"  tasks.pull_patience: 10ms must be at least 1s",
			"  tasks.scheduling_patience: 0s must be at least 1s",
		}},
		"nats": {required + `
nats:
  servers: [localhost, "nats://u:secret@h:4222", "nats://h:4222"]
  installation: a.b
  password_file: p
  key_file: k
  server_name: "tls://nats"
  ping_interval: 1ms
  reconnect_wait: 0s
  max_pending_unregisters: 0
`, []string{
			"  nats.certificate_file: must be given together with nats.key_file",
			"  nats.installation: \"a.b\" must have letters, digits, '-' and '_' only",
			"  nats.max_pending_unregisters: 0 must be at least 1",
			"  nats.ping_interval: 1ms must be at least 1s",
			"  nats.reconnect_wait: must be more than 0s",
			"  nats.server_name: \"tls://nats\" can't be used",
			"  nats.servers[0]: must be nats://host:port or tls://host:port, without a user",
			"  nats.servers[1]: must be nats://host:port or tls://host:port, without a user",
			"  nats.user: is required with nats.password_file",
		}},
		"the rest": {required + `
observe: {address: ":8085"}
log: {level: loud}
shutdown: {delay: -1s, timeout: 0s}
leader_election: {namespace: A, lease_name: "", lease_duration: 1500ms, renew_deadline: 15s, retry_period: 13s}
`, []string{
			"  leader_election.lease_duration: 1.5s is not whole seconds, as a Lease holds them",
			"  leader_election.lease_name: is required",
			"  leader_election.namespace: \"A\" can't be used",
			"  leader_election.renew_deadline: 15s must be shorter than lease_duration, 1.5s",
			"  leader_election.retry_period: 13s times 1.2 must be shorter than renew_deadline, 15s",
			"  log.level: \"loud\" is none of debug, info, error, fatal",
			"  observe.address: must differ from listen.address: health and metrics have a port of their own",
			"  shutdown.delay: -1s must be at least 0s",
			"  shutdown.timeout: must be more than 0s",
		}},
		"addresses, registry and limits": {`
listen: {address: "8085", max_body_bytes: 0, tls: {certificate_file: c, key_file: k, client_ca_file: a, client_names: [""]}}
observe: {address: ":http"}
kubernetes: {namespace: apps, max_parallel_calls: 0, view_stale_after: 1ms, lost_node_grace: -1s}
registry: {pull_address: "a b", prefix: "Cloud", stack_revision: "0123456789012345678901234567", pull_secret: "_"}
`, []string{
			"  kubernetes.lost_node_grace: -1s must be at least 1s",
			"  kubernetes.max_parallel_calls: 0 must be at least 1",
			"  kubernetes.view_stale_after: 1ms must be at least 1s",
			"  listen.address: \"8085\" is not host:port or :port",
			"  listen.max_body_bytes: 0 must be at least 1",
			"  listen.tls.client_names: holds an empty name",
			"  observe.address: \":http\" has no port number from 0 to 65535",
			"  registry.prefix: \"Cloud\" can't begin a repository's name",
			"  registry.pull_address: \"a b\" is not host or host:port",
			"  registry.pull_secret: \"_\" can't be used",
			"  registry.stack_revision: \"0123456789012345678901234567\" is longer than 27 characters",
		}},
		"plaintext and TLS": {`
kubernetes: {namespace: apps}
registry: {pull_address: registry}
listen: {tls: {key_file: k}, address: "127.0.0.1:1", plaintext: true}
`, []string{
			"  listen.plaintext: is true although listen.tls is given; choose one",
		}},
		"droplet sources that exclude each other": {required + `
droplets: {source: {url: "https://blobstore/", url_file: f}}
`, []string{
			"  droplets.source.url: is given although droplets.source.url_file is; choose one",
		}},
		"a droplet source with a password": {required + `
droplets: {source: {url: "https://user:secret@blobstore/"}}
`, []string{
			"  droplets.source.url: must begin with https://host/ (or http://), without a user; droplets.source.url_file may have one",
		}},
		"a droplet source beside the former one": {required + `
droplets: {source: {url: "https://blobstore/{hash}", cloud_controller: "https://cloud-controller:9023"}}
`, []string{
			"  droplets.source.cloud_controller: is given although there is a URL; remove it: Cloud Controller compares",
		}},
		"a key given twice":    {required + "log: {level: info}\nlog: {level: debug}\n", []string{"  not valid YAML: line 6: key \"log\" already set in map"}},
		"no YAML":              {"a: [", []string{"  not valid YAML: "}},
		"no mapping":           {"- a", []string{"  is not a mapping of keys to values"}},
		"a second document":    {required + "---\nlog: {level: debug}\n", []string{"  holds more than one YAML document; write all keys into one"}},
		"a mapping for a name": {required + "log: {level: {a: b}}\n", []string{"  log.level: is a mapping, must be a string"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := parseConfiguration([]byte(example.yaml))
			g.Expect(err).To(HaveOccurred())
			lines := strings.Split(err.Error(), "\n")
			g.Expect(lines).To(HaveLen(len(example.want)), err.Error())
			for i, want := range example.want {
				g.Expect(lines[i]).To(HavePrefix(want))
			}
		})
	}
}

// Installations that set it go on, with a line in the log.
func TestTheFormerDropletSourceIsStillRead(t *testing.T) {
	g := NewWithT(t)
	config, err := parseConfiguration([]byte(required + `droplets: {source: {cloud_controller: "https://cloud-controller:9023"}}`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Droplets.Source.CloudController).To(Equal("https://cloud-controller:9023"))
	logger := lagertest.NewTestLogger("irene")
	assembler, err := newAssembler(config, &bits.Stacks{}, nil, logger)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(assembler).NotTo(BeNil())
	g.Expect(logger).To(gbytes.Say("droplets-can-not-be-fetched.*set droplets.source.url or url_file to its blobstore instead"))
}

func TestPlaintextNeedsLoopback(t *testing.T) {
	for address, fine := range map[string]bool{
		"127.0.0.1:8085": true, "127.8.0.1:8085": true, "[::1]:8085": true, "localhost:8085": true,
		":8085": false, "0.0.0.0:8085": false, "[::]:8085": false, "10.0.0.1:8085": false, "irene:8085": false,
	} {
		t.Run(address, func(t *testing.T) {
			g := NewWithT(t)
			config := DefaultConfiguration()
			config.Kubernetes.Namespace, config.Registry.PullAddress = "apps", "registry"
			config.Listen.Address, config.Listen.Plaintext = address, true
			if fine {
				g.Expect(config.Validate()).To(Succeed())
			} else {
				g.Expect(config.Validate()).To(MatchError(ContainSubstring("listen.plaintext: is only allowed")))
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "irene.yml")
	_, err := Load(path)
	g.Expect(err).To(MatchError(And(ContainSubstring(path), ContainSubstring("no such file"))))

	g.Expect(os.WriteFile(path, []byte(required+"foo: 1"), 0o600)).To(Succeed())
	_, err = Load(path)
	g.Expect(err).To(MatchError("configuration " + path + ":\n  foo: unknown key"))
}

func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(required))
	f.Add([]byte("listen: {tls: [1]}\napps: {probes: {timeout: {a: 1}}}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		config, err := parseConfiguration(content)
		if err == nil && config.Validate() != nil {
			t.Errorf("accepted, but not valid: %v", config.Validate())
		}
	})
}
