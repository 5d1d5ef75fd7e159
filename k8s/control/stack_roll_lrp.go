package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

const (
	// rollPoll is how often an LRP under way is looked at.
	rollPoll = 500 * time.Millisecond
	// imagePoll is the pause before an image is asked for again that is not there yet.
	imagePoll = 5 * time.Second
)

var (
	errUnneeded  = errors.New("it is on the stack's current revision")
	errOvertaken = errors.New("somebody else changed its template")
)

// stalledError says that an LRP has made no progress for too long.
type stalledError struct{ reason string }

func (e *stalledError) Error() string { return e.reason }

// wentBackError says why an LRP is on its old revision again.
type wentBackError struct {
	stalled *stalledError
	// unwell is why it is not well there either; nil when it is.
	unwell error
}

func (e *wentBackError) Error() string {
	text := "it did not come up: " + e.stalled.Error()
	if e.unwell != nil {
		return text + "; nor is it well back on the old revision: " + e.unwell.Error()
	}
	return text
}

// lrpRoll is the work on one LRP.
type lrpRoll struct {
	*StackRoll
	candidate rollCandidate
	lrp       RolledLRP
}

func (r *lrpRoll) get(ctx context.Context) (*appsv1.StatefulSet, error) {
	return r.options.StatefulSets.Get(ctx, r.candidate.name, r.candidate.uid)
}

func (r *lrpRoll) run(ctx context.Context) error {
	set, err := r.get(ctx)
	if err != nil {
		return err
	}
	r.describe(set)
	if r.lrp.To == r.lrp.From && !underWay(set) {
		return errUnneeded
	}
	waits := true
	if revisionOf(set) != r.options.Revision {
		if waits, err = r.begin(ctx, set); err != nil {
			return err
		}
	}
	if waits {
		err = r.settle(ctx, r.lrp.To)
	}
	if stalled, ok := errors.AsType[*stalledError](err); ok {
		return r.back(ctx, stalled)
	}
	if err == nil {
		r.tellDone(ctx, set)
	}
	return err
}

// describe fills in what is reported of an LRP. One that an earlier roll left under
// way comes from where that one took it.
func (r *lrpRoll) describe(set *appsv1.StatefulSet) {
	held := r.options.View.FromLive(set)
	r.lrp = RolledLRP{
		LRPIdentifier: held.LRPIdentifier,
		AppName:       held.AppName, SpaceName: held.SpaceName, OrganizationName: held.OrganizationName, ProcessType: held.ProcessType,
		From: revisionOf(set), To: r.options.Revision,
	}
	if from, ok := rolledFromOf(set); ok {
		r.lrp.From = from.Revision
	}
}

// begin moves the template, and says whether there is something to wait for.
func (r *lrpRoll) begin(ctx context.Context, set *appsv1.StatefulSet) (waits bool, err error) {
	lrp, err := render.RecordedLRP(set)
	if err != nil {
		return false, err
	}
	to, err := r.assemble(ctx, lrp)
	if err != nil {
		return false, err
	}
	r.lrp.To = to.Revision
	image := r.options.Registry.DropletImage(lrp, to.Revision)
	unneeded := false
	err = r.options.StatefulSets.Change(ctx, set, func(set *appsv1.StatefulSet) (patch *live.Patch, err error) {
		if revisionOf(set) == to.Revision {
			waits = underWay(set)
			unneeded = !waits
			return nil, nil
		}
		patch, waits, err = r.beginning(ctx, set, to, image)
		return patch, err
	})
	if err == nil && unneeded {
		err = errUnneeded
	}
	return waits, err
}

// assemble waits for an image that takes its time.
func (r *lrpRoll) assemble(ctx context.Context, lrp opi.LRP) (render.AppImage, error) {
	lrp.RootFS.Stack = r.options.Stack
	started := time.Now()
	for {
		image, err := r.options.Images.Assemble(ctx, lrp)
		if err == nil && image.Stack != r.options.Stack {
			return render.AppImage{}, fmt.Errorf("its image was assembled on stack %q", image.Stack)
		}
		if !errors.Is(err, opi.ErrUnavailable) || ctx.Err() != nil || time.Since(started) > r.options.Patience {
			return image, err
		}
		pause(ctx, imagePoll)
	}
}

// beginning is the write by which the move begins.
func (r *lrpRoll) beginning(ctx context.Context, set *appsv1.StatefulSet, to render.AppImage, image string) (patch *live.Patch, waits bool, err error) {
	if patch, err = movePatch(set, to, image); err != nil {
		return nil, false, err
	}
	held := r.options.View.FromLive(set)
	r.lrp.Note = ""
	if held.Instances == 0 {
		return patch, false, nil
	}
	if set.Status.ReadyReplicas == 0 {
		r.lrp.Note = "none of its instances was ready before, so none was waited for"
		return patch, false, nil
	}
	from, err := r.known(ctx, set)
	if err != nil {
		return nil, false, err
	}
	if patch.Metadata.Annotations[keys.StackRoll], err = from.encode(); err != nil {
		return nil, false, err
	}
	if held.Instances == 1 && held.Surge == 0 {
		if hasClaims(set) {
			r.lrp.Note = "its only instance was down for a moment, because it has volumes"
		} else {
			patch.SetReplicas(1, 1)
		}
	}
	return patch, true, nil
}

// known is what the LRP is known to be well on: not what an earlier roll took it to,
// unless it came up there.
func (r *lrpRoll) known(ctx context.Context, set *appsv1.StatefulSet) (rolledFrom, error) {
	if from, moving := rolledFromOf(set); moving {
		unsettled, err := r.moves.unsettled(ctx, set)
		if err != nil || unsettled {
			return from, err
		}
	}
	return rolledFrom{Revision: revisionOf(set), Image: imageOf(set)}, nil
}

// settle waits until the LRP is well on a revision and then takes back what was there
// for the move only.
func (r *lrpRoll) settle(ctx context.Context, revision string) error {
	type progress struct {
		generation        int64
		replicas, updated int32
	}
	var last progress
	moved, limit := time.Now(), r.options.Patience
	for {
		set, done, err := r.step(ctx, revision)
		switch {
		case err != nil && !errors.Is(err, opi.ErrUnavailable) && !errors.Is(err, live.ErrChanged):
			return err
		case done:
			return nil
		case err == nil:
			limit = r.options.Patience + startupTime(set)
			if now := (progress{set.Generation, *set.Spec.Replicas, set.Status.UpdatedReplicas}); now != last {
				last, moved = now, time.Now()
			}
		}
		if time.Since(moved) > limit {
			if err == nil {
				err = &stalledError{r.whyUnready(ctx, set)}
			}
			return err
		}
		if pause(ctx, rollPoll); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// step does what can be done at present, and says whether that was all.
func (r *lrpRoll) step(ctx context.Context, revision string) (set *appsv1.StatefulSet, done bool, err error) {
	if set, err = r.get(ctx); err != nil {
		return nil, false, err
	}
	if revisionOf(set) != revision {
		return nil, false, errOvertaken
	}
	unsettled, err := r.moves.unsettled(ctx, set)
	if err != nil {
		return nil, false, err
	}
	if !unsettled {
		err := r.moves.endRoll(ctx, set)
		return set, err == nil, err
	}
	return set, false, r.company(ctx, set)
}

// company gives the one instance that is still to be replaced its company, where
// somebody has scaled the LRP down to it, or taken the company away.
func (r *lrpRoll) company(ctx context.Context, set *appsv1.StatefulSet) error {
	if held := r.options.View.FromLive(set); held.Instances != 1 || held.Surge > 0 || hasClaims(set) {
		return nil
	}
	pod, err := r.moves.podOf(ctx, set, 0)
	if err != nil || pod == nil || !podReady(pod) || pod.Labels[keys.RootFSVersion] == revisionOf(set) {
		return err
	}
	patch := &live.Patch{}
	patch.SetReplicas(1, 1)
	return r.options.StatefulSets.Patch(ctx, set, patch)
}

// back moves an LRP to what it ran on, and says why in any case.
func (r *lrpRoll) back(ctx context.Context, stalled *stalledError) error {
	set, err := r.get(ctx)
	if err != nil {
		return err
	}
	var from rolledFrom
	err = r.options.StatefulSets.Change(ctx, set, func(set *appsv1.StatefulSet) (*live.Patch, error) {
		if revisionOf(set) != r.lrp.To {
			return nil, errOvertaken
		}
		var known bool
		if from, known = rolledFromOf(set); !known {
			return nil, fmt.Errorf("it did not come up: %w; and what it ran on before is not known", stalled)
		}
		patch, err := movePatch(set, render.AppImage{Revision: from.Revision, Stack: r.options.Stack}, from.Image)
		if err == nil {
			patch.Metadata.Annotations[keys.StackRoll] = nil
		}
		return patch, err
	})
	if err != nil {
		return err
	}
	outcome := &wentBackError{stalled: stalled}
	if err := r.settle(ctx, from.Revision); err != nil {
		if errors.Is(err, live.ErrStopped) || errors.Is(err, errOvertaken) || ctx.Err() != nil {
			return err
		}
		outcome.unwell = err
	}
	r.writeEvent(ctx, set, corev1.EventTypeWarning, "StackRolledBack",
		fmt.Sprintf("Revision %s of stack %s: %s. The LRP is back on revision %s.", r.lrp.To, r.options.Stack, outcome, from.Revision))
	return outcome
}

func (r *lrpRoll) tellDone(ctx context.Context, set *appsv1.StatefulSet) {
	text := fmt.Sprintf("The LRP was moved from revision %s to %s of stack %s", r.lrp.From, r.lrp.To, r.options.Stack)
	if r.lrp.Note != "" {
		text += "; " + r.lrp.Note
	}
	r.writeEvent(ctx, set, corev1.EventTypeNormal, "StackRolled", text+".")
}

// startupTime is how long an instance may take until its startup check has failed.
func startupTime(set *appsv1.StatefulSet) time.Duration {
	container := containerOf(set)
	if container == nil || container.StartupProbe == nil {
		return 0
	}
	probe := container.StartupProbe
	return time.Duration(probe.InitialDelaySeconds+probe.FailureThreshold*probe.PeriodSeconds) * time.Second
}
