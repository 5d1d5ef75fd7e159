package job

import "time"

// Defaults of [Limits].
const (
	// DefaultSchedulingPatience is long enough for an autoscaler to bring a node, and is
	// what Cloud Controller waits for a build beyond its deadline.
	DefaultSchedulingPatience = 5 * time.Minute
	// DefaultPullPatience outlives a short outage of the registry: kubelet tries after
	// 10, 30, 70 and 150 s.
	DefaultPullPatience = 3 * time.Minute
)

// Limits bound a piece of work in time.
type Limits struct {
	// Deadline bounds the work from the moment that a node has taken its pod; 0 for none.
	Deadline time.Duration
	// SchedulingPatience is how long the work may wait for a node with room.
	SchedulingPatience time.Duration
	// PullPatience is how long a node may fail to pull an image, or to start a container.
	PullPatience time.Duration
	// LostNodeGrace is how long a node may be unreachable before its work is lost.
	LostNodeGrace time.Duration
}
