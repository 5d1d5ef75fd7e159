package bbs

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// What Diego uses where a check leaves it out (contract/bbs.md 3.2).
const (
	defaultCheckTimeout  = time.Second
	defaultCheckInterval = 30 * time.Second
	// startInterval is the interval until an instance is healthy, whatever the check has.
	startInterval = 2 * time.Second
)

// checkHeaders go with Diego's HTTP checks. Apps recognize a check by them, and those that
// redirect to https answer it.
func checkHeaders() map[string]string {
	return map[string]string{"User-Agent": "diego-healthcheck", "X-Forwarded-Proto": "https"}
}

// checks reads the checks of an LRP. Those of an instance that starts are those of one that
// runs. Diego does not bound the start if the timeout is 0; the domain's longest bound stands
// for that.
func checks(wire *models.DesiredLRP) (opi.Checks, error) {
	var errs []error
	if wire.Monitor != nil && wire.CheckDefinition == nil {
		errs = append(errs, opi.Invalid("monitor", "is not supported without a check_definition"))
	}
	liveness, err := checkList("check_definition.checks", wire.CheckDefinition.GetChecks())
	errs = append(errs, err)
	readiness, err := checkList("check_definition.readiness_checks", wire.CheckDefinition.GetReadinessChecks())
	errs = append(errs, err)
	var startup []opi.Check
	for _, check := range liveness {
		check.Interval = startInterval
		startup = append(startup, check)
	}
	startTimeout := milliseconds(uint64(max(wire.StartTimeoutMs, 0)))
	switch {
	case wire.StartTimeoutMs < 0:
		errs = append(errs, opi.Invalid("start_timeout_ms", "must not be negative, is %d", wire.StartTimeoutMs))
	case startTimeout == 0 && len(startup) > 0:
		startTimeout = opi.MaxStartTimeout
	}
	return opi.NewChecks(startTimeout, startup, liveness, readiness), errors.Join(errs...)
}

func checkList(field string, list []*models.Check) ([]opi.Check, error) {
	var found []opi.Check
	var errs []error
	for i, check := range list {
		tcp, http := check.GetTcpCheck(), check.GetHttpCheck()
		switch {
		case tcp != nil && http != nil:
			errs = append(errs, opi.Invalid(fmt.Sprintf("%s[%d]", field, i), "has both tcp_check and http_check"))
		case tcp != nil:
			found = append(found, opi.Check{
				Kind: opi.CheckPort, Port: saturated(tcp.Port),
				Interval: cmp.Or(milliseconds(tcp.IntervalMs), defaultCheckInterval),
				Timeout:  cmp.Or(milliseconds(tcp.ConnectTimeoutMs), defaultCheckTimeout),
			})
		case http != nil:
			found = append(found, opi.Check{
				Kind: opi.CheckHTTP, Port: saturated(http.Port), Path: cmp.Or(http.Path, "/"),
				Interval: cmp.Or(milliseconds(http.IntervalMs), defaultCheckInterval),
				Timeout:  cmp.Or(milliseconds(http.RequestTimeoutMs), defaultCheckTimeout),
				Headers:  checkHeaders(),
			})
		default:
			errs = append(errs, opi.Invalid(fmt.Sprintf("%s[%d]", field, i), "has neither tcp_check nor http_check"))
		}
	}
	return found, errors.Join(errs...)
}

// maxMilliseconds keeps a time.Duration from overflowing; the domain's own bounds are far
// below it.
const maxMilliseconds = 1 << 40

func milliseconds(n uint64) time.Duration {
	return time.Duration(min(n, maxMilliseconds)) * time.Millisecond
}

// saturated keeps a number that is too large too large: the domain refuses it.
func saturated(n uint32) int32 { return int32(min(n, math.MaxInt32)) }
