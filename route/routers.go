package route

import (
	"encoding/json"
	"fmt"
	"time"
)

const (
	// DefaultInterval is how often endpoints are refreshed while no router has
	// asked for anything else.
	DefaultInterval = 20 * time.Second
	// defaultPruneThreshold is gorouter's own default.
	defaultPruneThreshold = 120 * time.Second
	shortestInterval      = time.Second
)

// routerStart is what a router says of itself when it starts, and when greeted.
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

// wishes is the strictest of what routers asked for since they were last greeted.
type wishes struct {
	interval, pruneThreshold time.Duration
}

func (w *wishes) add(start routerStart) {
	least := func(have *time.Duration, seconds int) {
		// A day's worth of seconds is beyond any sense and still far from overflow.
		if wish := time.Duration(seconds) * time.Second; seconds > 0 && seconds <= 86400 && (*have == 0 || wish < *have) {
			*have = wish
		}
	}
	least(&w.interval, start.Interval)
	least(&w.pruneThreshold, start.PruneThreshold)
}

// refresh is the interval at which to refresh: three chances within the prune
// threshold, whatever was asked for.
func (w *wishes) refresh() time.Duration {
	interval, threshold := w.interval, w.pruneThreshold
	if interval == 0 {
		interval = DefaultInterval
	}
	if threshold == 0 {
		threshold = defaultPruneThreshold
	}
	return max(min(interval, threshold/3), shortestInterval)
}
