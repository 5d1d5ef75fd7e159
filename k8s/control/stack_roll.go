package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/pager"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// DefaultRollPatience is how long an LRP may take for its next step, beyond the time
// that its own startup check allows: room for pulling a stack that no node has yet.
const DefaultRollPatience = 5 * time.Minute

// rollPage bounds how many StatefulSets are in memory at once when LRPs are looked for.
const rollPage = 200

// AppImages makes sure that the images of buildpack apps are in the registry.
type AppImages interface {
	// Assemble makes sure that the image of the LRP's droplet can be pulled, and returns
	// what it is built on. Errors wrap opi.ErrUnavailable where it may succeed later.
	Assemble(ctx context.Context, lrp opi.LRP) (render.AppImage, error)
}

// StackRollOptions say which LRPs are moved, and how fast.
type StackRollOptions struct {
	View         StackRollView
	StatefulSets StackRollStatefulSets
	Pods         coreclient.PodsGetter
	// Events takes what people with kubectl are shown. A recorder would write it later.
	Events coreclient.EventsGetter
	Logger lager.Logger
	// Images assembles images, and Registry names them as kubelet pulls them.
	Images   AppImages
	Registry render.RegistrySettings
	// Stack is the name of a stack and Revision its current revision. LRPs on that
	// stack and another revision are moved.
	Stack, Revision string
	// Parallel bounds how many apps are worked on at a time; 1 when 0. LRPs of one app
	// are moved one after the other in any case.
	Parallel int
	// Pause is the time from an LRP's end to the beginning of the next in its place.
	Pause time.Duration
	// Patience is DefaultRollPatience when 0. An LRP that makes no progress for that
	// long goes back to what it ran on.
	Patience time.Duration
	// StopOnFailure begins no further LRP after one that failed or went back; those
	// under way are seen through.
	StopOnFailure bool
	// Progress, where set, is told of each LRP when it is done with, one call at a time.
	Progress func(RolledLRP)
}

// StackRollView turns objects of the API server into the view's. It need not run.
type StackRollView interface {
	FromLive(*appsv1.StatefulSet) view.LRP
	FromLivePod(*corev1.Pod) view.Pod
}

// StackRollStatefulSets are the StatefulSets of LRPs at the API server.
type StackRollStatefulSets interface {
	List(context.Context, metav1.ListOptions) (*appsv1.StatefulSetList, error)
	Get(ctx context.Context, name string, uid types.UID) (*appsv1.StatefulSet, error)
	Change(ctx context.Context, set *appsv1.StatefulSet, change func(*appsv1.StatefulSet) (*live.Patch, error)) error
	Patch(context.Context, *appsv1.StatefulSet, *live.Patch) error
}

// StackRoll moves running LRPs to the current revision of their stack: the one
// exception to the rule that templates never change. Image and revision change,
// nothing else does.
//
// An LRP's instances are replaced by Kubernetes, from the highest index down, each
// when the one before is ready. A single instance gets company first: the LRP surges
// to two replicas, of which the second starts on the new revision, and index 0 is
// replaced once that one is ready. Then the second goes. So an app that is up stays
// up, with two exceptions. An LRP with claims does not surge, since its volumes may
// not allow two pods at once; and where no instance is ready beforehand there is
// nothing to protect, so such an LRP is moved and not waited for.
//
// An LRP that does not come up on the new revision goes back to what it ran on.
//
// What stands on the objects is all that a roll knows: it may be interrupted at any
// point, and the next one goes on from there. A surge that nobody sees to an end is
// taken back by Companions once the LRP is well. Requests that arrive meanwhile win:
// every write has the version that it was made for as a precondition.
type StackRoll struct {
	options StackRollOptions
	moves   moves
	logger  lager.Logger

	mutex  sync.Mutex // guards result and calls of Progress
	result StackRollResult
	halted bool
}

// NewStackRoll makes a roll that runs once.
func NewStackRoll(options StackRollOptions) *StackRoll {
	options.Parallel = max(1, options.Parallel)
	if options.Patience == 0 {
		options.Patience = DefaultRollPatience
	}
	return &StackRoll{
		options: options,
		moves:   moves{view: options.View, pods: options.Pods, sets: options.StatefulSets},
		logger:  options.Logger.Session("stack-roll", lager.Data{"stack": options.Stack}),
	}
}

// rollCandidate is a StatefulSet that a roll has something to do with.
type rollCandidate struct {
	name string
	uid  types.UID
}

// Run moves all LRPs that have to be. The error says why it did not come to all of
// them: the LRPs could not be listed, or ctx ended. Failures of single LRPs are in the
// result.
func (r *StackRoll) Run(ctx context.Context) (StackRollResult, error) {
	apps, total, err := r.candidates(ctx)
	if err != nil {
		return StackRollResult{}, fmt.Errorf("find LRPs on stack %s: %w", r.options.Stack, err)
	}
	r.result = StackRollResult{Total: total, Outcomes: map[RollOutcome]int{}}
	queue := make(chan []rollCandidate)
	var workers sync.WaitGroup
	for range r.options.Parallel {
		workers.Go(func() { r.work(ctx, queue) })
	}
	for _, app := range apps {
		queue <- app
	}
	close(queue)
	workers.Wait()
	if r.result.Left() > 0 && ctx.Err() != nil {
		return r.result, fmt.Errorf("roll stack %s: %w", r.options.Stack, context.Cause(ctx))
	}
	return r.result, nil
}

// candidates are the LRPs that are not where they should be, or not known to be well
// there, grouped by app.
func (r *StackRoll) candidates(ctx context.Context) (apps [][]rollCandidate, total int, err error) {
	byApp := map[string][]rollCandidate{}
	list := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return r.options.StatefulSets.List(ctx, options)
	})
	list.PageSize = rollPage
	err = list.EachListItem(ctx, metav1.ListOptions{LabelSelector: keys.SourceType + "=" + keys.SourceTypeApp}, func(object runtime.Object) error {
		if set := object.(*appsv1.StatefulSet); r.concerns(set) {
			app := cmp.Or(set.Labels[keys.AppGUID], set.Name)
			byApp[app] = append(byApp[app], rollCandidate{name: set.Name, uid: set.UID})
			total++
		}
		return nil
	})
	if err != nil {
		return nil, 0, apierror.Classify(err)
	}
	for _, app := range slices.Sorted(maps.Keys(byApp)) {
		apps = append(apps, byApp[app])
	}
	return apps, total, nil
}

// concerns reports whether an LRP is to be moved, or was left under way by an earlier roll. One
// that waits for its image gets it on the current revision.
func (r *StackRoll) concerns(set *appsv1.StatefulSet) bool {
	_, awaited := set.Annotations[keys.AwaitedImage]
	return set.DeletionTimestamp == nil && !awaited && set.Annotations[keys.Stack] == r.options.Stack &&
		(revisionOf(set) != r.options.Revision || underWay(set))
}

func (r *StackRoll) work(ctx context.Context, queue <-chan []rollCandidate) {
	for app := range queue {
		for _, candidate := range app {
			if ctx.Err() != nil || r.isHalted() {
				break
			}
			started := time.Now()
			lrp := r.roll(ctx, candidate)
			lrp.Took = time.Since(started)
			r.done(lrp)
			if lrp.Outcome != RollUnneeded {
				pause(ctx, r.options.Pause)
			}
		}
	}
}

func (r *StackRoll) isHalted() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.halted
}

// done counts and tells.
func (r *StackRoll) done(lrp RolledLRP) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.result.Outcomes[lrp.Outcome]++
	r.halted = r.halted || r.options.StopOnFailure && r.result.Failed() > 0
	for _, count := range r.result.Outcomes {
		lrp.Number += count
	}
	lrp.Total = r.result.Total
	data := lager.Data{"process_guid": lrp.ProcessGUID(), "from": lrp.From, "to": lrp.To, "outcome": lrp.Outcome, "note": lrp.Note}
	if lrp.Err != nil {
		r.logger.Error("lrp", lrp.Err, data)
	} else {
		r.logger.Info("lrp", data)
	}
	if r.options.Progress != nil {
		r.options.Progress(lrp)
	}
}

// roll brings one LRP to where it should be.
func (r *StackRoll) roll(ctx context.Context, candidate rollCandidate) RolledLRP {
	work := &lrpRoll{StackRoll: r, candidate: candidate}
	err := work.run(ctx)
	lrp := work.lrp
	switch _, wentBack := errors.AsType[*wentBackError](err); {
	case err == nil:
		lrp.Outcome = RollDone
	case errors.Is(err, errUnneeded):
		lrp.Outcome = RollUnneeded
	case errors.Is(err, live.ErrStopped):
		lrp.Outcome, lrp.Note = RollOvertaken, "it was stopped meanwhile"
	case errors.Is(err, errOvertaken):
		lrp.Outcome, lrp.Note = RollOvertaken, "somebody else moved it meanwhile"
	case ctx.Err() != nil:
		lrp.Outcome = RollInterrupted
	case wentBack:
		lrp.Outcome, lrp.Err = RollBack, err
	default:
		lrp.Outcome, lrp.Err = RollFailed, err
	}
	return lrp
}

// pause waits unless ctx ends.
func pause(ctx context.Context, duration time.Duration) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
