package view

import (
	"fmt"
	"strings"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/opi"
)

// checks are the probes of a container whose failure ends it. Most containers of an
// installation share a few.
type checks struct{ startup, liveness check }

// check is a probe of a port, or of an HTTP path on it. Its zero value is none.
type check struct {
	// port is 0 for a check by a program, which names the port that failed.
	port int32
	// path is empty for a port's.
	path string
	// timeout bounds one attempt and patience all of them, until the container is ended
	// because that many failed in a row.
	timeout, patience time.Duration
	failures          int
}

func checksOf(container *corev1.Container) unique.Handle[checks] {
	return unique.Make(checks{startup: checkOf(container.StartupProbe), liveness: checkOf(container.LivenessProbe)})
}

func checkOf(probe *corev1.Probe) check {
	if probe == nil {
		return check{}
	}
	c := check{
		failures: int(max(1, probe.FailureThreshold)),
		timeout:  time.Duration(probe.TimeoutSeconds) * time.Second,
		patience: time.Duration(probe.InitialDelaySeconds+probe.PeriodSeconds*probe.FailureThreshold) * time.Second,
	}
	switch {
	case probe.TCPSocket != nil:
		c.port = probe.TCPSocket.Port.IntVal
	case probe.HTTPGet != nil:
		c.port, c.path = probe.HTTPGet.Port.IntVal, probe.HTTPGet.Path
		if c.path == "" {
			c.path = "/"
		}
	}
	return c
}

func (c *Container) probes() checks {
	if c.checks == (unique.Handle[checks]{}) {
		return checks{}
	}
	return c.checks.Value()
}

const (
	// killSlack is how long after the last failed attempt a kubelet has ended the
	// container: its grace period of one to three seconds, and what a busy node takes.
	killSlack = 10 * time.Second
	// clockSlack is for times in whole seconds.
	clockSlack = time.Second
)

// failedCheck says in a user's words that a check ended the run, or nothing if it did
// not, as far as anybody knows. passed is whether the startup check is known to have
// been passed in the run.
func (c *checks) failedCheck(t *Termination, passed bool, seen failedChecks) string {
	if t.StartedAt.IsZero() || t.FinishedAt.IsZero() {
		return ""
	}
	if last := c.liveness.ended(t, seen.liveness); last != nil {
		return "failed health check: " + c.liveness.explain(last.message)
	}
	lasted := t.FinishedAt.Sub(t.StartedAt)
	if passed || c.startup.patience == 0 || lasted < c.startup.patience-2*clockSlack {
		return ""
	}
	within := fmt.Sprintf(" (not passed within %s of the start)", seconds(c.startup.patience))
	said := lastWithin(seen.startup, t.StartedAt, t.FinishedAt.Add(clockSlack))
	onTime := lasted <= c.startup.patience+killSlack
	switch {
	case said != nil && (onTime || lasted <= 3*c.startup.patience+killSlack && !t.killedForMemory()):
		return "failed health check: " + c.startup.explain(said.message) + within
	// Kubelets say little of a container that fails again and again. One that ended when
	// the patience with it did, as on a kubelet's signal, failed the check.
	case onTime && endedOnSignal(t.ExitCode) && !t.killedForMemory():
		return "failed health check: " + c.startup.explain("") + within
	}
	return ""
}

// ended returns the last failure of a check that ended a run after it had started, nil if
// the run ended otherwise. A process that dies by itself makes the next attempt fail, too,
// but not before its end, nor as often as a kubelet wants it.
func (c *check) ended(t *Termination, failures []checkFailure) *checkFailure {
	begin := t.FinishedAt.Add(-c.patience - killSlack)
	if begin.Before(t.StartedAt) {
		begin = t.StartedAt
	}
	end := t.FinishedAt.Add(-clockSlack)
	last := lastWithin(failures, begin, end)
	if last == nil || t.FinishedAt.Sub(last.at) > killSlack {
		return nil
	}
	times := 0
	for _, failure := range failures {
		switch {
		case failure.at.Before(begin) || failure.at.After(end):
		case failure.from.Before(begin):
			times++ // and perhaps more
		default:
			times += failure.times
		}
	}
	if times < c.failures && (t.ExitCode == 0 || !endedOnSignal(t.ExitCode) || t.killedForMemory()) {
		return nil
	}
	return last
}

// lastWithin returns the last failure in a time, nil for none.
func lastWithin(failures []checkFailure, begin, end time.Time) (last *checkFailure) {
	for i := range failures {
		if at := failures[i].at; !at.Before(begin) && !at.After(end) && (last == nil || at.After(last.at)) {
			last = &failures[i]
		}
	}
	return last
}

// endedOnSignal is whether a process that is told to end, or killed, may end so.
func endedOnSignal(status int32) bool { return status == 0 || status == 128+15 || status == 128+9 }

// explain makes of a kubelet's message what the user can act upon.
func (c check) explain(message string) string {
	subject := fmt.Sprintf("port %d", c.port)
	if c.path != "" {
		subject = fmt.Sprintf("GET %s on port %d", c.path, c.port)
	}
	_, detail, _ := strings.Cut(message, "probe failed: ")
	switch {
	case c.port == 0 && detail == "":
		return "no answer"
	case c.port == 0 && strings.HasPrefix(detail, "command timed out"):
		return fmt.Sprintf("no answer within %s", seconds(c.timeout))
	case c.port == 0:
		return opi.PlainText(detail, maxDetail)
	case strings.Contains(detail, "connection refused"):
		return fmt.Sprintf("port %d refused the connection", c.port)
	case strings.Contains(detail, "connection reset"), strings.HasSuffix(strings.TrimSpace(detail), "EOF"):
		return fmt.Sprintf("port %d broke off the connection", c.port)
	case detail == "", strings.Contains(detail, "i/o timeout"), strings.Contains(detail, "deadline exceeded"), strings.Contains(detail, "Client.Timeout"):
		return fmt.Sprintf("%s did not answer within %s", subject, seconds(c.timeout))
	}
	if _, status, found := strings.Cut(detail, "statuscode: "); found {
		return fmt.Sprintf("%s was answered with status %s", subject, opi.PlainText(status, maxDetail))
	}
	return subject + ": " + opi.PlainText(detail, maxDetail)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int(d.Seconds())) }

// maxDetail bounds what is quoted of a kubelet's message.
const maxDetail = 200
