package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
)

// rollMinAge is how long the pods of an LRP that is being moved must be there before
// anyone but the roll ends the move: a roll that lives does so within seconds.
const rollMinAge = 5 * time.Minute

// endAbandonedRoll takes back what a roll has left behind with an LRP that does not
// need it. Where the desired instances are not well on what the template says, it
// stays: to take a surge away might be what takes the app down, and the next roll has
// to know the way back.
func (c *Companions) endAbandonedRoll(ctx context.Context, i identity) (reconcile.Result, error) {
	lrp, exists := i.owner()
	if !exists || lrp.Surge == 0 && !lrp.Moving {
		return reconcile.Result{}, nil
	}
	for _, pod := range c.options.View.Pods(lrp.UID) {
		if wait := rollMinAge - c.options.Clock.Since(pod.Created); wait > 0 {
			return reconcile.Result{Again: wait}, nil
		}
	}
	set, err := c.options.StatefulSets.Get(ctx, lrp.Name, lrp.UID)
	if errors.Is(err, live.ErrStopped) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("end abandoned roll: %w", err)
	}
	unsettled, err := c.moves.unsettled(ctx, set)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("end abandoned roll: %w", err)
	}
	if unsettled {
		return reconcile.Result{Again: rollMinAge}, nil
	}
	err = c.moves.endRoll(ctx, set)
	if errors.Is(err, live.ErrChanged) {
		return reconcile.Result{}, nil // its event brings us back
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("end abandoned roll: %w", err)
	}
	c.logger.Info("abandoned-roll-ended", lager.Data{"process_guid": lrp.ProcessGUID(), "statefulset": lrp.Name})
	return reconcile.Result{}, nil
}
