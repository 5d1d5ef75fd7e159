package opi

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Bounds of the memory of refusals: about 2 MiB.
const (
	maxRefusals         = 2000
	maxRefusalBytes     = 1 << 10
	maxRefusedInstances = 1000
)

// Refusals remembers why an LRP could not be desired, by process guid
// ([LRPIdentifier.ProcessGUID]). Callers don't look at the answer to a desire, so without it
// an app that can't start would never show why. It helps people and promises nothing: each
// replica has its own, which is empty after a restart and forgets the oldest.
//
// One memory serves all doors. It is safe for concurrent use.
type Refusals struct {
	cache *lru.Cache[string, Refusal]
}

// Refusal is why an LRP could not be desired.
type Refusal struct {
	// Reason is for the app's developer.
	Reason string
	// Lasting refusals are shown as CRASHED, on which cf push ends at once. Others may pass by
	// themselves and are shown as UNCLAIMED, since the next sync desires the LRP again.
	Lasting bool
	// Instances is how many were desired; less than one counts as one.
	Instances int
	// At is when the LRP was refused.
	At time.Time
}

// NewRefusals returns an empty memory.
func NewRefusals() *Refusals {
	cache, err := lru.New[string, Refusal](maxRefusals)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &Refusals{cache: cache}
}

// Keep remembers a refusal in place of an earlier one. When the same reason is given again,
// as by every sync, the time of the first stays.
func (r *Refusals) Keep(processGUID string, refusal Refusal) {
	refusal.Reason = PlainText(refusal.Reason, maxRefusalBytes)
	refusal.Instances = min(max(1, refusal.Instances), maxRefusedInstances)
	if earlier, known := r.cache.Get(processGUID); known && earlier.Reason == refusal.Reason {
		refusal.At = earlier.At
	}
	r.cache.Add(processGUID, refusal)
}

// Forget is called when the LRP was desired or stopped.
func (r *Refusals) Forget(processGUID string) { r.cache.Remove(processGUID) }

// Instances returns the instances that stand for a refusal, nil if there is none.
func (r *Refusals) Instances(processGUID string) []Instance {
	refused, known := r.cache.Get(processGUID)
	if !known {
		return nil
	}
	state := InstanceUnclaimed
	if refused.Lasting {
		state = InstanceCrashed
	}
	instances := make([]Instance, 0, refused.Instances)
	for index := range refused.Instances {
		instances = append(instances, Instance{Index: index, State: state, Since: refused.At, PlacementError: refused.Reason})
	}
	return instances
}
