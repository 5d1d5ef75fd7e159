package tasks

import (
	"time"

	"github.com/irene-cf/irene/k8s/render"
)

// Defaults of Settings. There is none for Deadline: a task may run for as long as it
// likes, as on Diego.
const (
	// DefaultSchedulingPatience is long enough for an autoscaler to bring a node.
	DefaultSchedulingPatience = 5 * time.Minute
	// DefaultPullPatience outlives a short outage of the registry: kubelet tries after
	// 10, 30, 70 and 150 s.
	DefaultPullPatience = 3 * time.Minute
)

// Settings are the operator's, and never change while Irene runs.
type Settings struct {
	// Translation is that of apps, whose rules hold for their tasks.
	Translation render.Settings
	// Deadline bounds a task from the moment that a node has taken its pod; 0 for none.
	Deadline time.Duration
	// SchedulingPatience is how long a task may wait for a node with room.
	SchedulingPatience time.Duration
	// PullPatience is how long a node may fail to pull the image or to start it.
	PullPatience time.Duration
	// LostNodeGrace is how long a node may be unreachable before its tasks are lost.
	LostNodeGrace time.Duration
}
