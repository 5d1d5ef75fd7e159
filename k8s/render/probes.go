package render

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/opi"
)

// defaultStartTimeout holds when a request gives none (Cloud Controller's own
// default_health_check_timeout).
const defaultStartTimeout = 60 * time.Second

// ProbeSettings are the intervals and bounds for checks that do not bring their
// own.
type ProbeSettings struct {
	LivenessPeriod    time.Duration
	LivenessFailures  int32
	ReadinessPeriod   time.Duration
	ReadinessFailures int32
	Timeout           time.Duration
}

// probes translates an LRP's checks. The startup probe asks every second and its
// bound is the start timeout; the other two begin when it has passed.
func (s ProbeSettings) probes(lrp opi.LRP) (startup, liveness, readiness *corev1.Probe) {
	checks, hasLaunch := lrp.Checks, lrp.Droplet != nil
	if startup = s.allOf(checks.Startup, checks.More.Startup, time.Second, hasLaunch); startup != nil {
		timeout := checks.StartTimeout
		if timeout == 0 {
			timeout = defaultStartTimeout
		}
		startup.FailureThreshold = max(1, int32(math.Ceil(timeout.Seconds()/float64(startup.PeriodSeconds))))
		startup.TerminationGracePeriodSeconds = ptr.To(failedCheckGraceSeconds)
	}
	if liveness = s.allOf(checks.Liveness, checks.More.Liveness, s.LivenessPeriod, hasLaunch); liveness != nil {
		liveness.FailureThreshold = s.LivenessFailures
		liveness.TerminationGracePeriodSeconds = ptr.To(failedCheckGraceSeconds)
	}
	if readiness = s.allOf(checks.Readiness, checks.More.Readiness, s.ReadinessPeriod, hasLaunch); readiness != nil {
		readiness.FailureThreshold = s.ReadinessFailures
	}
	return startup, liveness, readiness
}

// failedCheckGraceSeconds replaces the pod's grace period when a check has
// failed: such an instance need not sit out the preStop sleep, which is there for
// instances that still serve. Kubelet gives the process two more seconds.
const failedCheckGraceSeconds int64 = 1

// execSlack is what an exec probe may take in addition to the check itself: a busy node needs
// seconds to start a program in a container, which is no fault of the app.
const execSlack = 10 * time.Second

// allOf returns the probe for several checks of one kind. A probe of Kubernetes has one port, so
// launch checks several; where it can't, the probe is that of the first check.
func (s ProbeSettings) allOf(first opi.Check, more []opi.Check, period time.Duration, hasLaunch bool) *corev1.Probe {
	probe := s.probe(first, period)
	ports := portsOfChecks(first, more)
	if probe == nil || !hasLaunch || len(ports) < 2 {
		return probe
	}
	timeout := first.Timeout
	for _, check := range more {
		timeout = max(timeout, check.Timeout)
	}
	if timeout == 0 {
		timeout = s.Timeout
	}
	command := []string{launcher, "check", timeout.String()}
	for _, port := range ports {
		command = append(command, strconv.Itoa(int(port)))
	}
	probe.TCPSocket, probe.Exec = nil, &corev1.ExecAction{Command: command}
	probe.TimeoutSeconds = wholeSeconds(timeout + execSlack)
	return probe
}

// portsOfChecks returns the ports of several checks of ports, each once; nil if another kind
// of check is among them.
func portsOfChecks(first opi.Check, more []opi.Check) []int32 {
	var ports []int32
	for _, check := range append([]opi.Check{first}, more...) {
		if check.Kind != opi.CheckPort {
			return nil
		}
		ports = append(ports, check.Port)
	}
	return distinctPorts(ports)
}

// LeavesOutChecks reports whether an LRP has checks that its instances don't: an instance has
// one check of each kind, or one of all its ports if it runs launch.
func LeavesOutChecks(lrp opi.LRP) bool {
	leavesOut := func(first opi.Check, more []opi.Check) bool {
		if lrp.Droplet != nil && portsOfChecks(first, more) != nil {
			return false
		}
		return slices.ContainsFunc(more, func(check opi.Check) bool {
			return check.Kind != first.Kind || check.Port != first.Port || check.Path != first.Path
		})
	}
	checks := lrp.Checks
	return leavesOut(checks.Startup, checks.More.Startup) || leavesOut(checks.Liveness, checks.More.Liveness) || leavesOut(checks.Readiness, checks.More.Readiness)
}

func (s ProbeSettings) probe(check opi.Check, period time.Duration) *corev1.Probe {
	if check.Interval > 0 {
		period = check.Interval
	}
	timeout := s.Timeout
	if check.Timeout > 0 {
		timeout = check.Timeout
	}
	probe := &corev1.Probe{
		PeriodSeconds:    wholeSeconds(period),
		TimeoutSeconds:   wholeSeconds(timeout),
		SuccessThreshold: 1,
	}
	port := intstr.FromInt32(check.Port)
	switch check.Kind {
	case opi.CheckPort:
		probe.TCPSocket = &corev1.TCPSocketAction{Port: port}
	case opi.CheckHTTP:
		probe.HTTPGet = &corev1.HTTPGetAction{Path: check.Path, Port: port, Scheme: corev1.URISchemeHTTP}
		for _, name := range slices.Sorted(maps.Keys(check.Headers)) {
			probe.HTTPGet.HTTPHeaders = append(probe.HTTPGet.HTTPHeaders, corev1.HTTPHeader{Name: name, Value: check.Headers[name]})
		}
	default:
		return nil
	}
	return probe
}

// wholeSeconds rounds up, since Kubernetes has no smaller unit here.
func wholeSeconds(d time.Duration) int32 {
	return max(1, int32(math.Ceil(d.Seconds())))
}
