//go:build bench

package bench_test

import (
	"slices"
	"time"
)

// timings are how long some calls took, each and all together.
type timings struct {
	each []time.Duration
	all  time.Duration
}

func (t timings) rate() float64 { return float64(len(t.each)) / t.all.Seconds() }

func (t timings) percentile(p int) time.Duration {
	sorted := slices.Sorted(slices.Values(t.each))
	value := sorted[min(len(sorted)-1, len(sorted)*p/100)]
	if value < 10*time.Millisecond {
		return value.Round(10 * time.Microsecond)
	}
	return value.Round(time.Millisecond)
}
