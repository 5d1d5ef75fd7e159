package main

import (
	"time"

	"github.com/irene-cf/irene/bits"
	routenats "github.com/irene-cf/irene/route/nats"
)

// Configuration is everything an operator can set, as read from one YAML file.
// docs/configuration.md documents each key; a test keeps the two in step.
type Configuration struct {
	Listen          Listen          `json:"listen"`
	Observe         Observe         `json:"observe"`
	Log             Log             `json:"log"`
	Shutdown        Shutdown        `json:"shutdown"`
	Kubernetes      Kubernetes      `json:"kubernetes"`
	LeaderElection  LeaderElection  `json:"leader_election"`
	NATS            NATS            `json:"nats"`
	Registry        Registry        `json:"registry"`
	Stacks          Stacks          `json:"stacks"`
	Droplets        Droplets        `json:"droplets"`
	Apps            Apps            `json:"apps"`
	Tasks           Tasks           `json:"tasks"`
	Staging         Staging         `json:"stager"`
	CloudController CloudController `json:"cloud_controller"`
	Outbound        Outbound        `json:"outbound"`
	BBS             BBS             `json:"bbs"`
}

// Listen is where and how Cloud Controller reaches the API.
type Listen struct {
	// Address is host:port; an empty host is every address of the machine.
	Address string `json:"address"`
	// TLS is required unless Plaintext is set.
	TLS TLS `json:"tls"`
	// Plaintext serves without TLS and without knowing who asks. Only a loopback
	// Address is taken with it.
	Plaintext bool `json:"plaintext"`
	// ReadHeaderTimeout bounds the reading of a request's header.
	ReadHeaderTimeout Duration `json:"read_header_timeout"`
	// ReadTimeout bounds the reading of a whole request.
	ReadTimeout Duration `json:"read_timeout"`
	// WriteTimeout bounds a request from its header to the end of its answer.
	WriteTimeout Duration `json:"write_timeout"`
	// IdleTimeout is how long an unused connection stays open. Cloud Controller
	// reuses one for up to 15 s; closing sooner makes it send requests twice.
	IdleTimeout Duration `json:"idle_timeout"`
	// MaxBodyBytes is the largest request body in bytes.
	MaxBodyBytes int64 `json:"max_body_bytes"`
	// MaxConnections bounds open connections; see boundConnections.
	MaxConnections int `json:"max_connections"`
}

// TLS is the API's own certificate and whose certificates it accepts. The files
// are PEM and are read again when their content changes.
type TLS struct {
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
	// ClientCAFile holds the authorities that sign clients' certificates.
	ClientCAFile string `json:"client_ca_file"`
	// ClientNames lists who may call: a client's certificate must have one of
	// them as its common name or among its DNS names, letter for letter.
	ClientNames []string `json:"client_names"`
}

// Observe is where health and metrics are served, without TLS and without
// anything secret.
type Observe struct {
	// Address is host:port, apart from Listen's.
	Address string `json:"address"`
	// Profiling adds Go's profiles, below /debug/pprof/.
	Profiling bool `json:"profiling"`
}

// Log is what is written to standard output.
type Log struct {
	// Level is the least level written: debug, info, error or fatal.
	Level string `json:"level"`
}

// Shutdown is how the process ends on SIGTERM or SIGINT. The pod's
// terminationGracePeriodSeconds has to exceed the sum of both.
type Shutdown struct {
	// Delay is the time between readiness turning false and the API's listener
	// closing, so that whoever routes to this replica learns of it first.
	Delay Duration `json:"delay"`
	// Timeout bounds what follows: running requests, then controllers.
	Timeout Duration `json:"timeout"`
}

// Kubernetes is the cluster that runs the apps.
type Kubernetes struct {
	// KubeconfigFile is empty inside the cluster, where the pod's service account
	// is used.
	KubeconfigFile string `json:"kubeconfig_file"`
	// Namespace holds all apps, tasks and builds. It is required.
	Namespace string `json:"namespace"`
	// MaxParallelCalls bounds how many calls to the API server run at once.
	MaxParallelCalls int `json:"max_parallel_calls"`
	// ViewStaleAfter is how long watches may be silent before lists are refused.
	// An API server sends a bookmark about once a minute.
	ViewStaleAfter Duration `json:"view_stale_after"`
	// LostNodeGrace is how long a node may be unreachable before its instances
	// count as lost and are replaced.
	LostNodeGrace Duration `json:"lost_node_grace"`
	// ReplacePodsWithClaims replaces instances on lost nodes also when they have
	// volumes, to which two instances may then write at once.
	ReplacePodsWithClaims bool `json:"replace_pods_with_claims"`
	// Pods is what the pods of apps, tasks and builds have in common.
	Pods Pods `json:"pods"`
}

// LeaderElection chooses, by a Lease, the one replica that runs the controllers.
type LeaderElection struct {
	// Enabled false makes this process run the controllers unasked: right only
	// when it is the only one.
	Enabled bool `json:"enabled"`
	// Namespace of the Lease; empty means Kubernetes.Namespace.
	Namespace string `json:"namespace"`
	LeaseName string `json:"lease_name"`
	// LeaseDuration is how long the others wait for a silent leader.
	LeaseDuration Duration `json:"lease_duration"`
	// RenewDeadline is how long a leader tries to renew before it steps down.
	RenewDeadline Duration `json:"renew_deadline"`
	// RetryPeriod is the time between tries.
	RetryPeriod Duration `json:"retry_period"`
	// Identity names this replica; empty means its host name and a random part.
	Identity string `json:"identity"`
}

// NATS is the message bus over which routers learn where instances are.
type NATS struct {
	// Servers are URLs, nats://host:port or tls://host:port. Empty means that no
	// routes are published.
	Servers []string `json:"servers"`
	// Installation tells the Irenes apart that share a bus; empty means
	// Kubernetes.Namespace.
	Installation string `json:"installation"`
	// User and the content of PasswordFile, without white space around it,
	// authenticate; both empty for none.
	User         string `json:"user"`
	PasswordFile string `json:"password_file"`
	// CAFile has the authorities that sign the servers' certificates; empty means
	// the system's.
	CAFile string `json:"ca_file"`
	// ServerName is the name in the servers' certificates; empty means the host in Servers.
	ServerName string `json:"server_name"`
	// CertificateFile and KeyFile are for mutual TLS; both or none.
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
	// PingInterval is how often a silent connection is checked; it is lost after
	// two pings without answer.
	PingInterval Duration `json:"ping_interval"`
	// ReconnectWait is the pause between attempts at one server.
	ReconnectWait Duration `json:"reconnect_wait"`
	// MaxPendingUnregisters bounds the memory for unregisters that are repeated.
	MaxPendingUnregisters int `json:"max_pending_unregisters"`
}

// Apps is how app instances run. A change counts for what is desired from then
// on; running apps keep what they were made with.
type Apps struct {
	// DefaultDiskMB is the disk limit in MiB of an app that asks for none.
	DefaultDiskMB int64 `json:"default_disk_mb"`
	// ServiceAccount of the pods; empty means the namespace's default one. Its
	// token is never mounted.
	ServiceAccount string `json:"service_account"`
	// TrustedCertificatesConfigMap has the certificates of authorities that apps should trust;
	// empty for none.
	TrustedCertificatesConfigMap string `json:"trusted_certificates_config_map"`
	// TerminationGrace is the time from the decision to stop an instance to its
	// SIGKILL. It includes PreStopSleep.
	TerminationGrace Duration `json:"termination_grace"`
	// PreStopSleep delays an instance's SIGTERM, so that routers forget it first.
	PreStopSleep Duration `json:"pre_stop_sleep"`
	// UserNamespaces says whether the nodes support user namespaces.
	UserNamespaces Switch `json:"user_namespaces"`
	// ImageUserLookupTimeout bounds reading a docker image's user from its
	// registry.
	ImageUserLookupTimeout Duration  `json:"image_user_lookup_timeout"`
	Placement              Placement `json:"placement"`
	// OrphanMinAge is the age below which a Secret without an app is left alone,
	// because its app may be on its way.
	OrphanMinAge Duration `json:"orphan_min_age"`
	// UserAnnotations are the annotations that users may set on their apps' pods.
	UserAnnotations []string `json:"user_annotations"`
	Probes          Probes   `json:"probes"`
}

// Placement maps isolation segments to nodes.
type Placement struct {
	// NodeLabel is the label whose value is the name of a node's segment.
	NodeLabel string `json:"node_label"`
	// Shared says where apps without a segment run.
	Shared SharedNodes `json:"shared"`
}

// SharedNodes are the nodes for apps without an isolation segment.
type SharedNodes string

const (
	// SharedAny is every node.
	SharedAny SharedNodes = "any"
	// SharedUnlabelled are the nodes that belong to no segment.
	SharedUnlabelled SharedNodes = "unlabelled"
)

// Probes are the checks of a started instance. Periods and the timeout are whole
// seconds, as in Kubernetes. (Before the start, the check runs every second for
// as long as the app's own start timeout says.)
type Probes struct {
	LivenessPeriod Duration `json:"liveness_period"`
	// LivenessFailures in a row restart the instance.
	LivenessFailures int32    `json:"liveness_failures"`
	ReadinessPeriod  Duration `json:"readiness_period"`
	// ReadinessFailures in a row take the instance out of routing.
	ReadinessFailures int32 `json:"readiness_failures"`
	// Timeout bounds one check, unless the app brings its own.
	Timeout Duration `json:"timeout"`
}

// DefaultConfiguration is what an empty file means. It isn't valid by itself:
// kubernetes.namespace, registry.pull_address and listen.tls have no default.
func DefaultConfiguration() Configuration {
	seconds := func(n int) Duration { return Duration{Duration: time.Duration(n) * time.Second} }
	listen := func(address string, maxBodyBytes int64) Listen {
		return Listen{
			Address:           address,
			ReadHeaderTimeout: seconds(10),
			ReadTimeout:       seconds(60),
			WriteTimeout:      seconds(120),
			IdleTimeout:       seconds(90),
			MaxBodyBytes:      maxBodyBytes,
			MaxConnections:    500,
		}
	}
	bbs := BBS{Listen: listen("", 16<<20)}
	bbs.Listen.TLS.ClientNames = []string{}
	return Configuration{
		Listen:   listen(":8085", 8<<20),
		BBS:      bbs,
		Observe:  Observe{Address: ":9102"},
		Log:      Log{Level: "info"},
		Shutdown: Shutdown{Delay: seconds(5), Timeout: seconds(30)},
		Kubernetes: Kubernetes{
			MaxParallelCalls: 100,
			ViewStaleAfter:   seconds(120),
			LostNodeGrace:    seconds(60),
			Pods:             defaultPods(),
		},
		LeaderElection: LeaderElection{
			Enabled:       true,
			LeaseName:     "irene",
			LeaseDuration: seconds(15),
			RenewDeadline: seconds(10),
			RetryPeriod:   seconds(2),
		},
		NATS: NATS{
			Servers:               []string{},
			PingInterval:          seconds(10),
			ReconnectWait:         Duration{Duration: 500 * time.Millisecond},
			MaxPendingUnregisters: routenats.DefaultMaxPending,
		},
		Registry:        Registry{Prefix: "cloudfoundry"},
		Stacks:          Stacks{Names: []string{"cflinuxfs4"}, CheckInterval: Duration{Duration: bits.DefaultStackInterval}},
		Droplets:        defaultDroplets(),
		Tasks:           defaultTasks(),
		Staging:         defaultStaging(),
		CloudController: defaultCloudController(),
		Outbound:        Outbound{Allowed: []string{}, Denied: []string{}},
		Apps: Apps{
			DefaultDiskMB:          2048,
			TerminationGrace:       seconds(15),
			PreStopSleep:           seconds(5),
			UserNamespaces:         Off,
			ImageUserLookupTimeout: seconds(10),
			Placement:              Placement{NodeLabel: "cloudfoundry.org/isolation-segment", Shared: SharedAny},
			OrphanMinAge:           seconds(600),
			UserAnnotations:        []string{"prometheus.io/"},
			Probes: Probes{
				LivenessPeriod:    seconds(10),
				LivenessFailures:  4,
				ReadinessPeriod:   seconds(10),
				ReadinessFailures: 2,
				Timeout:           seconds(1),
			},
		},
	}
}

// Load reads the file at path over the defaults and validates the outcome. Its
// error lists every fault, each with the key that it concerns.
func Load(path string) (Configuration, error) {
	return loadFile(path, parseConfiguration)
}

// LeaseNamespace is the namespace of the leader's Lease.
func (c Configuration) LeaseNamespace() string {
	if c.LeaderElection.Namespace != "" {
		return c.LeaderElection.Namespace
	}
	return c.Kubernetes.Namespace
}

// Installation is the name of this Irene on the message bus.
func (c Configuration) Installation() string {
	if c.NATS.Installation != "" {
		return c.NATS.Installation
	}
	return c.Kubernetes.Namespace
}
