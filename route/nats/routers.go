package nats

import (
	"encoding/json"
	"fmt"
	"time"
)

const (
	// DefaultInterval is the interval between two registrations of an endpoint while
	// no router has asked for another.
	DefaultInterval = 20 * time.Second
	// defaultPruneThreshold is gorouter's own default.
	defaultPruneThreshold = 120 * time.Second
	shortestInterval      = time.Second
)

// routerStart is what a router sends when it starts, and when greeted.
type routerStart struct {
	ID             string `json:"id"`
	Interval       int    `json:"minimumRegisterIntervalInSeconds"`
	PruneThreshold int    `json:"pruneThresholdInSeconds"`
}

func parseRouterStart(data []byte) (routerStart, error) {
	var start routerStart
	if err := json.Unmarshal(data, &start); err != nil {
		return start, fmt.Errorf("router.start: %w", err)
	}
	return start, nil
}

// routerLimits holds the strictest values of the routers that have answered since they
// were last greeted; 0 if there are none.
type routerLimits struct {
	interval, pruneThreshold time.Duration
}

func (l *routerLimits) add(start routerStart) {
	lower := func(limit *time.Duration, seconds int) {
		// More than a day is not meant seriously, and could overflow.
		if d := time.Duration(seconds) * time.Second; seconds > 0 && seconds <= 86400 && (*limit == 0 || d < *limit) {
			*limit = d
		}
	}
	lower(&l.interval, start.Interval)
	lower(&l.pruneThreshold, start.PruneThreshold)
}

// refreshInterval returns the interval at which to register every endpoint again: at
// least three times within the prune threshold, whatever the routers asked for.
func (l *routerLimits) refreshInterval() time.Duration {
	interval, threshold := l.interval, l.pruneThreshold
	if interval == 0 {
		interval = DefaultInterval
	}
	if threshold == 0 {
		threshold = defaultPruneThreshold
	}
	return max(min(interval, threshold/3), shortestInterval)
}
