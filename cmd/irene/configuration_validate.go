package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/irene-cf/irene/k8s/render"
)

const (
	// maxTagRevision is what the 128 bytes of an image tag leave beside a checksum
	// of 100 bytes, the longest that is accepted, and a hyphen.
	maxTagRevision = 27
	// cloudControllerReuse is how long Cloud Controller's HTTP client keeps an
	// idle connection for the next request.
	cloudControllerReuse = 15 * time.Second
	// electionJitter is the factor by which client-go stretches the retry period.
	electionJitter = 1.2
	// cloudControllerPatience is how long the API lets a request take: Cloud Controller
	// waits 60 s for an answer.
	cloudControllerPatience = 50 * time.Second
	// leastPatience bounds settings that cost API calls when they are too short.
	leastPatience = time.Second
)

// installationName is what may stand in a NATS subject.
var installationName = regexp.MustCompile(`^[-A-Za-z0-9_]+$`)

// Validate says what is wrong, one line for each key; nil means that the values
// are usable together. It reads no files.
func (c Configuration) Validate() error {
	var wrong faults
	c.validate(&wrong)
	return wrong.err()
}

func (c Configuration) validate(wrong *faults) {
	c.Listen.validate(wrong, "listen")
	c.BBS.validate(wrong, c.Listen.Address, c.Observe.Address)
	c.Observe.validate(wrong, c.Listen.Address)
	c.Log.validate(wrong)
	c.Shutdown.validate(wrong)
	c.Kubernetes.validate(wrong)
	c.LeaderElection.validate(wrong)
	c.NATS.validate(wrong)
	c.Registry.validate(wrong)
	c.Stacks.validate(wrong)
	c.Droplets.validate(wrong)
	c.Apps.validate(wrong)
	c.Tasks.validate(wrong)
	c.Staging.validate(wrong)
	c.CloudController.validate(wrong)
	c.Outbound.validate(wrong)
}

func (o Observe) validate(wrong *faults, listen string) {
	wrong.address("observe.address", o.Address)
	if isSameListener(o.Address, listen) {
		wrong.add("observe.address", "must differ from listen.address: health and metrics have a port of their own")
	}
}

// isSameListener reports whether two listeners want one port. Port 0 is any that is free.
func isSameListener(address, other string) bool {
	return address == other && !strings.HasSuffix(address, ":0")
}

func (l Log) validate(wrong *faults) {
	if _, err := lager.LogLevelFromString(l.Level); err != nil {
		wrong.add("log.level", "%q is none of debug, info, error, fatal", l.Level)
	}
}

func (s Shutdown) validate(wrong *faults) {
	wrong.duration("shutdown.delay", s.Delay, 0)
	wrong.positive("shutdown.timeout", s.Timeout)
}

// validate reports faults below key.
func (l Listen) validate(wrong *faults, key string) {
	wrong.address(key+".address", l.Address)
	if l.Plaintext {
		if !isLoopback(l.Address) {
			wrong.add(key+".plaintext", "is only allowed with a %s.address on loopback, such as 127.0.0.1:8085, not %q", key, l.Address)
		}
		if l.TLS.CertificateFile != "" || l.TLS.KeyFile != "" || l.TLS.ClientCAFile != "" || len(l.TLS.ClientNames) > 0 {
			wrong.add(key+".plaintext", "is true although %s.tls is given; choose one", key)
		}
	} else {
		wrong.required(key+".tls.certificate_file", l.TLS.CertificateFile)
		wrong.required(key+".tls.key_file", l.TLS.KeyFile)
		wrong.required(key+".tls.client_ca_file", l.TLS.ClientCAFile)
		if len(l.TLS.ClientNames) == 0 {
			wrong.add(key+".tls.client_names", "is required: the common names or DNS names of the clients that may call, such as cloud_controller")
		}
		if slices.Contains(l.TLS.ClientNames, "") {
			wrong.add(key+".tls.client_names", "holds an empty name")
		}
	}
	wrong.positive(key+".read_header_timeout", l.ReadHeaderTimeout)
	wrong.positive(key+".read_timeout", l.ReadTimeout)
	wrong.positive(key+".write_timeout", l.WriteTimeout)
	if wrong.positive(key+".idle_timeout", l.IdleTimeout) && l.IdleTimeout.Duration <= cloudControllerReuse {
		wrong.add(key+".idle_timeout", "%s is too short: Cloud Controller reuses a connection for up to %s", l.IdleTimeout, cloudControllerReuse)
	}
	if l.MaxBodyBytes < 1 {
		wrong.add(key+".max_body_bytes", "%d must be at least 1", l.MaxBodyBytes)
	}
	wrong.atLeastOne(key+".max_connections", l.MaxConnections)
}

func (k Kubernetes) validate(wrong *faults) {
	if wrong.required("kubernetes.namespace", k.Namespace) {
		wrong.name("kubernetes.namespace", k.Namespace, validation.IsDNS1123Label)
	}
	wrong.atLeastOne("kubernetes.max_parallel_calls", k.MaxParallelCalls)
	wrong.duration("kubernetes.view_stale_after", k.ViewStaleAfter, leastPatience)
	wrong.duration("kubernetes.lost_node_grace", k.LostNodeGrace, leastPatience)
	k.Pods.validate(wrong)
}

func (l LeaderElection) validate(wrong *faults) {
	if l.Namespace != "" {
		wrong.name("leader_election.namespace", l.Namespace, validation.IsDNS1123Label)
	}
	if wrong.required("leader_election.lease_name", l.LeaseName) {
		wrong.name("leader_election.lease_name", l.LeaseName, validation.IsDNS1123Subdomain)
	}
	lease := wrong.duration("leader_election.lease_duration", l.LeaseDuration, time.Second)
	if lease && l.LeaseDuration.Duration%time.Second != 0 {
		wrong.add("leader_election.lease_duration", "%s is not whole seconds, as a Lease holds them", l.LeaseDuration)
	}
	renew := wrong.positive("leader_election.renew_deadline", l.RenewDeadline)
	retry := wrong.positive("leader_election.retry_period", l.RetryPeriod)
	if lease && renew && l.RenewDeadline.Duration >= l.LeaseDuration.Duration {
		wrong.add("leader_election.renew_deadline", "%s must be shorter than lease_duration, %s", l.RenewDeadline, l.LeaseDuration)
	}
	if renew && retry && float64(l.RetryPeriod.Duration)*electionJitter >= float64(l.RenewDeadline.Duration) {
		wrong.add("leader_election.retry_period", "%s times %v must be shorter than renew_deadline, %s", l.RetryPeriod, electionJitter, l.RenewDeadline)
	}
}

func (n NATS) validate(wrong *faults) {
	for i, server := range n.Servers {
		if u, err := url.Parse(server); err != nil || u.Host == "" || u.User != nil || u.Scheme != "nats" && u.Scheme != "tls" {
			// The value is not shown: it may hold a password.
			wrong.add(fmt.Sprintf("nats.servers[%d]", i), "must be nats://host:port or tls://host:port, without a user")
		}
	}
	if n.Installation != "" && !installationName.MatchString(n.Installation) {
		wrong.add("nats.installation", "%q must have letters, digits, '-' and '_' only", n.Installation)
	}
	if n.PasswordFile != "" && n.User == "" {
		wrong.add("nats.user", "is required with nats.password_file")
	}
	if n.ServerName != "" {
		wrong.name("nats.server_name", n.ServerName, validation.IsDNS1123Subdomain)
	}
	wrong.pair("nats", "certificate_file", "key_file", n.CertificateFile, n.KeyFile)
	wrong.duration("nats.ping_interval", n.PingInterval, leastPatience)
	wrong.positive("nats.reconnect_wait", n.ReconnectWait)
	if n.MaxPendingUnregisters < 1 {
		wrong.add("nats.max_pending_unregisters", "%d must be at least 1", n.MaxPendingUnregisters)
	}
}

func (a Apps) validate(wrong *faults) {
	if a.DefaultDiskMB < 1 {
		wrong.add("apps.default_disk_mb", "%d must be at least 1 (MiB)", a.DefaultDiskMB)
	}
	if a.ServiceAccount != "" {
		wrong.name("apps.service_account", a.ServiceAccount, validation.IsDNS1123Subdomain)
	}
	if a.TrustedCertificatesConfigMap != "" {
		wrong.name("apps.trusted_certificates_config_map", a.TrustedCertificatesConfigMap, validation.IsDNS1123Subdomain)
	}
	grace := wrong.wholeSeconds("apps.termination_grace", a.TerminationGrace, 1)
	sleep := wrong.wholeSeconds("apps.pre_stop_sleep", a.PreStopSleep, 0)
	if grace && sleep && a.PreStopSleep.Duration >= a.TerminationGrace.Duration {
		wrong.add("apps.pre_stop_sleep", "%s must be shorter than termination_grace, %s, which includes it", a.PreStopSleep, a.TerminationGrace)
	}
	if a.UserNamespaces != On && a.UserNamespaces != Off {
		wrong.add("apps.user_namespaces", "%q is neither on nor off", a.UserNamespaces)
	}
	wrong.positive("apps.image_user_lookup_timeout", a.ImageUserLookupTimeout)
	if wrong.required("apps.placement.node_label", a.Placement.NodeLabel) {
		wrong.name("apps.placement.node_label", a.Placement.NodeLabel, validation.IsQualifiedName)
	}
	if a.Placement.Shared != SharedAny && a.Placement.Shared != SharedUnlabelled {
		wrong.add("apps.placement.shared", "%q is neither %s nor %s", a.Placement.Shared, SharedAny, SharedUnlabelled)
	}
	wrong.duration("apps.orphan_min_age", a.OrphanMinAge, leastPatience)
	for i, entry := range a.UserAnnotations {
		wrong.name(fmt.Sprintf("apps.user_annotations[%d]", i), entry, render.ValidateUserAnnotation)
	}
	wrong.wholeSeconds("apps.probes.liveness_period", a.Probes.LivenessPeriod, 1)
	wrong.wholeSeconds("apps.probes.readiness_period", a.Probes.ReadinessPeriod, 1)
	wrong.wholeSeconds("apps.probes.timeout", a.Probes.Timeout, 1)
	if a.Probes.LivenessFailures < 1 {
		wrong.add("apps.probes.liveness_failures", "%d must be at least 1", a.Probes.LivenessFailures)
	}
	if a.Probes.ReadinessFailures < 1 {
		wrong.add("apps.probes.readiness_failures", "%d must be at least 1", a.Probes.ReadinessFailures)
	}
}

// isLoopback tells whether only this machine can reach host:port.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func (f *faults) required(key, value string) bool {
	if value == "" {
		f.add(key, "is required")
	}
	return value != ""
}

func (f *faults) atLeastOne(key string, n int) {
	if n < 1 {
		f.add(key, "%d must be at least 1", n)
	}
}

// name checks value by one of Kubernetes' own rules.
func (f *faults) name(key, value string, rule func(string) []string) {
	if reasons := rule(value); len(reasons) > 0 {
		f.add(key, "%q can't be used: %s", value, strings.Join(reasons, "; "))
	}
}

func (f *faults) address(key, address string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		f.add(key, "%q is not host:port or :port", address)
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		f.add(key, "%q has no port number from 0 to 65535", address)
	}
}

// duration checks that d was read and is at least least; it says whether it holds.
func (f *faults) duration(key string, d Duration, least time.Duration) bool {
	switch {
	case d.unread != "":
		f.add(key, "%s is not a duration; write a number and a unit, as in 500ms, 30s or 2m", d.unread)
	case d.Duration < least:
		f.add(key, "%s must be at least %s", d, least)
	default:
		return true
	}
	return false
}

func (f *faults) positive(key string, d Duration) bool {
	if !f.duration(key, d, 0) {
		return false
	}
	if d.Duration == 0 {
		f.add(key, "must be more than 0s")
	}
	return d.Duration > 0
}

func (f *faults) wholeSeconds(key string, d Duration, least int) bool {
	if !f.duration(key, d, time.Duration(least)*time.Second) {
		return false
	}
	if d.Duration%time.Second != 0 {
		f.add(key, "%s is not whole seconds, as Kubernetes needs them", d)
		return false
	}
	return true
}
