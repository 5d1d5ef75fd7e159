package render

import (
	"maps"
	"math"
	"slices"
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
func (s ProbeSettings) probes(checks opi.Checks) (startup, liveness, readiness *corev1.Probe) {
	if startup = s.probe(checks.Startup, time.Second); startup != nil {
		timeout := checks.StartTimeout
		if timeout == 0 {
			timeout = defaultStartTimeout
		}
		startup.FailureThreshold = max(1, int32(math.Ceil(timeout.Seconds()/float64(startup.PeriodSeconds))))
		startup.TerminationGracePeriodSeconds = ptr.To(failedCheckGraceSeconds)
	}
	if liveness = s.probe(checks.Liveness, s.LivenessPeriod); liveness != nil {
		liveness.FailureThreshold = s.LivenessFailures
		liveness.TerminationGracePeriodSeconds = ptr.To(failedCheckGraceSeconds)
	}
	if readiness = s.probe(checks.Readiness, s.ReadinessPeriod); readiness != nil {
		readiness.FailureThreshold = s.ReadinessFailures
	}
	return startup, liveness, readiness
}

// failedCheckGraceSeconds replaces the pod's grace period when a check has
// failed: such an instance need not sit out the preStop sleep, which is there for
// instances that still serve. Kubelet gives the process two more seconds.
const failedCheckGraceSeconds int64 = 1

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
