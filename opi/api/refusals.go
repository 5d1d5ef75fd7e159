package api

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/irene-cf/irene/opi"
)

// Bounds of the memory of refusals: about 2 MiB.
const (
	maxRefusals         = 2000
	maxRefusalBytes     = 1 << 10
	maxRefusedInstances = 1000
)

// refusals remembers why the last PUT of each LRP failed. Cloud Controller ignores
// that answer, so without it an app that can't start would never say why. It is a
// help for people, not a promise: each replica has its own and a restart empties it.
// The key is the process guid as paths have it, "<guid>-<version>".
//
// A lasting refusal is shown as CRASHED, on which cf push ends at once; a failure that
// may pass by itself as UNCLAIMED, since the next sync desires the LRP again.
type refusals struct {
	cache *lru.Cache[string, refusal]
}

type refusal struct {
	reason    string
	state     opi.InstanceState
	instances int
	since     time.Time
}

func newRefusals() *refusals {
	cache, err := lru.New[string, refusal](maxRefusals)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &refusals{cache: cache}
}

// keep remembers a refusal and whether it lasts. When the same reason is given again, as
// by every sync, the time of the first stays.
func (r *refusals) keep(processGUID string, instances int32, reason string, lasting bool) {
	reason = opi.PlainText(reason, maxRefusalBytes)
	since := time.Now()
	if earlier, known := r.cache.Get(processGUID); known && earlier.reason == reason {
		since = earlier.since
	}
	state := opi.InstanceUnclaimed
	if lasting {
		state = opi.InstanceCrashed
	}
	r.cache.Add(processGUID, refusal{
		reason:    reason,
		state:     state,
		instances: min(max(1, int(instances)), maxRefusedInstances),
		since:     since,
	})
}

func (r *refusals) forget(processGUID string) { r.cache.Remove(processGUID) }

// instances returns the instances that stand for a refusal, nil if there is none.
func (r *refusals) instances(processGUID string) []opi.Instance {
	refused, known := r.cache.Get(processGUID)
	if !known {
		return nil
	}
	instances := make([]opi.Instance, 0, refused.instances)
	for index := range refused.instances {
		instances = append(instances, opi.Instance{
			Index:          index,
			State:          refused.state,
			Since:          refused.since,
			PlacementError: refused.reason,
		})
	}
	return instances
}
