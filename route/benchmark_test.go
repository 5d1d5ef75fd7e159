package route_test

import (
	"testing"
	"time"

	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/route"
)

// BenchmarkApply is one change in a table of 10,000.
func BenchmarkApply(b *testing.B) {
	table := route.NewTable(routing.LRPs(10_000)...)
	state := routing.WithInstance(routing.LRP("app1", "app1.example.com"), 0, "10.0.0.1")
	for i := range b.N {
		state.Instances[0].UpdatedAt = time.Unix(int64(i), 0)
		table.Apply(state)
	}
}
