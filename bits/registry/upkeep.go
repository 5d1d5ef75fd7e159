package registry

import (
	"context"
	"errors"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/bits/registry/store"
)

const (
	// spaceCheckEvery is how soon a low disk starts a collection.
	spaceCheckEvery = 10 * time.Second
	// purgeEvery is how often unfinished uploads are looked through.
	purgeEvery = 10 * time.Minute
	// collectAfterStart leaves a node that comes up to its containers.
	collectAfterStart = 10 * time.Minute
	// collectLowEvery is the least time between collections that a low disk starts.
	collectLowEvery = 10 * time.Minute
)

// Run cleans up until ctx ends: it removes unfinished uploads, watches the free space,
// and collects garbage every Options.CollectEvery and when space is low. What fails
// is logged, counted and tried again. It returns ctx's error.
func (r *Registry) Run(ctx context.Context) error {
	ticker := r.clock.NewTicker(spaceCheckEvery)
	defer ticker.Stop()
	u := &upkeep{Registry: r}
	if r.options.CollectEvery > 0 {
		u.nextCollection = r.clock.Now().Add(min(collectAfterStart, r.options.CollectEvery))
	}
	u.count(ctx)
	for {
		u.once(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C():
		}
	}
}

// upkeep is the state of Run.
type upkeep struct {
	*Registry
	low            bool
	nextPurge      time.Time
	lastCollection time.Time
	// nextCollection is zero if there are none at regular times.
	nextCollection time.Time
}

// count finds out how much there is before the first collection does.
func (u *upkeep) count(ctx context.Context) {
	kept, err := u.store.KeptBytes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			u.logger.Error("count", err)
		}
		return
	}
	u.metrics.keptBytes.Set(float64(kept))
}

// once does what is due.
func (u *upkeep) once(ctx context.Context) {
	now := u.clock.Now()
	u.watchSpace()
	if !now.Before(u.nextPurge) {
		u.nextPurge = now.Add(purgeEvery)
		u.purge(ctx)
	}
	due := !u.nextCollection.IsZero() && !now.Before(u.nextCollection)
	if due || u.low && !now.Before(u.lastCollection.Add(collectLowEvery)) {
		if due {
			u.nextCollection = now.Add(u.options.CollectEvery)
		}
		// GarbageCollect has logged its error.
		_, _ = u.GarbageCollect(ctx)
		u.lastCollection = u.clock.Now()
	}
}

// watchSpace notes and logs when the free space crosses the bound.
func (u *upkeep) watchSpace() {
	err := u.store.Room()
	low := errors.Is(err, store.ErrNoRoom)
	switch {
	case err != nil && !low:
		u.logger.Error("measure-free-space", err)
	case low && !u.low:
		u.logger.Error("low-space", err, lager.Data{"consequence": "uploads are refused, reads work; a collection starts"})
	case !low && u.low:
		u.logger.Info("enough-space", lager.Data{"consequence": "uploads are taken again"})
	}
	u.low = low
}

func (u *upkeep) purge(ctx context.Context) {
	purged, err := u.store.PurgeUploads(ctx, u.options.UploadIdle)
	u.metrics.removed.WithLabelValues("upload").Add(float64(purged))
	switch {
	case err != nil && ctx.Err() == nil:
		u.logger.Error("purge-uploads", err)
	case purged > 0:
		u.logger.Info("purged-uploads", lager.Data{"uploads": purged})
	}
}

// GarbageCollect removes what nothing refers to, while requests go on; see
// store.Collect for what that is and for what an error leaves. Another collection
// that is running is waited for. The outcome is logged and counted.
func (r *Registry) GarbageCollect(ctx context.Context) (store.Collected, error) {
	started := r.clock.Now()
	done, err := r.store.Collect(ctx, r.options.rules())
	took := r.clock.Since(started)
	r.metrics.collected(done)
	r.metrics.collectionSeconds.Set(took.Seconds())
	data := lager.Data{
		"tags": done.Tags, "manifests": done.Manifests, "links": done.Links, "blobs": done.Blobs,
		"freed-bytes": done.FreedBytes, "kept-bytes": done.KeptBytes, "seconds": took.Seconds(),
	}
	if ctx.Err() != nil {
		r.logger.Info("collection-stopped", data)
		return done, err
	}
	if err != nil {
		r.metrics.collections.WithLabelValues("failed").Inc()
		r.logger.Error("collected", err, data)
		return done, err
	}
	r.metrics.collections.WithLabelValues("ok").Inc()
	r.metrics.lastCollection.Set(float64(r.clock.Now().Unix()))
	r.metrics.keptBytes.Set(float64(done.KeptBytes))
	r.logger.Info("collected", data)
	return done, nil
}
