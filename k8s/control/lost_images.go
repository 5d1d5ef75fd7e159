package control

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// ImageRepair puts images of droplets into the registry again.
type ImageRepair interface {
	// Repair makes sure that the image of the LRP's droplet can be pulled, taking
	// nothing for granted that was there before. The LRP names its stack if it is
	// recorded. The returned image has another revision than the LRP if its stack has been
	// imported again since. Errors wrap opi.ErrRefused where the image
	// can't be made any more, and opi.ErrUnavailable where it may be made later.
	Repair(ctx context.Context, lrp opi.LRP) (render.AppImage, error)
}

const (
	// repairFirst is the time from one repair of an LRP's image to the next when the
	// first did not help; it doubles up to repairMost. Kubelets try again by themselves
	// after 10 s to 5 minutes.
	repairFirst = 30 * time.Second
	repairMost  = 30 * time.Minute
	// repairUnmade bounds that time after an attempt that could not be made because
	// something was unavailable, such as the registry: it may be back at any time.
	repairUnmade = 5 * time.Minute
)

// LostImages brings back images of droplets that nodes can't pull, because somebody
// cleaned up the registry or lost its data. It looks for pods that wait for an image
// of ours, has the image put together again, and deletes those pods, so that their
// successors pull at once and need not sit out a kubelet's back-off.
//
// An image is taken to be lost when a node says that it can't pull it. Runtimes say
// why in words of their own, and registries answer alike for what is not there and
// what is not allowed, so nothing is read from that. When repairs don't help, the
// cause is elsewhere (credentials, network, the registry): an Event says so, once, and
// repairs of that LRP's image become rare. An attempt that could not be made, because
// the registry was unavailable, does not count. Pods are deleted after a repair that
// succeeded and at no other time, so as rarely.
//
// Where the stack has moved on, only an image on its current revision can be made. An
// LRP that still can't be pulled a while after that was found is moved to it, as a
// StackRoll would do; Kubernetes replaces the waiting pods first.
//
// It is level-triggered: it may be killed and started again at any point. Two at once
// repair more than is needed and do no harm; one is enough, so run it where this
// replica leads.
type LostImages struct {
	options LostImagesOptions
	logger  lager.Logger
	metrics lostImageMetrics
	steps   *reconcile.Steps[*lostImage]
	loop    leaderLoop[opi.LRPIdentifier]

	mutex sync.Mutex
	// cases are the LRPs whose pods wait, or did and have not run since. Each case
	// belongs to the worker that has its key.
	cases map[opi.LRPIdentifier]*imageCase
}

// imageCase is what is remembered of an LRP whose image can't be pulled.
type imageCase struct {
	uid types.UID
	// foreign says that its image is none of ours. LostImages.mutex guards it.
	foreign bool
	// repairs counts those made, unmade the attempts since then that could not be made.
	// next is the time of the next one, and replaced says that one succeeded.
	repairs  int
	unmade   int
	next     time.Time
	replaced bool
	// told are the kinds of trouble that people have been told of.
	told map[string]bool
}

// LostImagesOptions are what LostImages works with.
type LostImagesOptions struct {
	// View must not be running yet when LostImages is made.
	View         LostImagesView
	StatefulSets LostImagesStatefulSets
	Pods         coreclient.PodsGetter
	// Events shows people with kubectl what was done.
	Events record.EventRecorder
	// Images repairs, and Registry names the images as kubelet pulls them.
	Images   ImageRepair
	Registry render.RegistrySettings
	// Workers bounds how many images are repaired at the same time; 4 when 0.
	Workers int
	Logger  lager.Logger
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Clock is the source of the time and of timers; the real one when nil.
	Clock clock.WithTicker
}

// LostImagesView shows LostImages the LRPs and their pods, and takes note of the pods that it
// deletes.
type LostImagesView interface {
	Synced() bool
	Subscribe(func(view.Change))
	Identities() []opi.LRPIdentifier
	LRP(opi.LRPIdentifier) (view.LRP, bool)
	Pods(owner types.UID) []view.Pod
	FromLive(*appsv1.StatefulSet) view.LRP
	NoteDeletedPod(types.UID)
}

// LostImagesStatefulSets are the StatefulSets of LRPs at the API server.
type LostImagesStatefulSets interface {
	Get(ctx context.Context, name string, uid types.UID) (*appsv1.StatefulSet, error)
	Change(ctx context.Context, set *appsv1.StatefulSet, change func(*appsv1.StatefulSet) (*live.Patch, error)) error
}

// NewLostImages subscribes to the view.
func NewLostImages(options LostImagesOptions) *LostImages {
	options.Workers = cmp.Or(options.Workers, 4)
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	l := &LostImages{
		options: options,
		logger:  options.Logger.Session("lost-images"),
		cases:   map[opi.LRPIdentifier]*imageCase{},
	}
	l.metrics = newLostImageMetrics(l, options.Registerer)
	l.steps = reconcile.NewSteps("lost-images", options.Registerer,
		reconcile.Step[*lostImage]{Name: "find-waiting-pods", Run: l.findWaitingPods},
		reconcile.Step[*lostImage]{Name: "assemble-image", Run: l.assembleImage},
		reconcile.Step[*lostImage]{Name: "replace-pods", Run: l.replacePods},
		reconcile.Step[*lostImage]{Name: "move-lrp", Run: l.moveLRP},
	)
	options.View.Subscribe(func(change view.Change) {
		if change.Resource == view.Pods || change.Resource == view.StatefulSets {
			l.loop.enqueue(change.LRP)
		}
	})
	return l
}

// Run looks at every LRP once and then each time that it or one of its pods changes, or
// the time for another repair has come, until ctx ends. It waits for the view first and
// returns when all workers have stopped.
func (l *LostImages) Run(ctx context.Context) error {
	// What another leader does meanwhile is not known.
	l.closeAll()
	defer l.closeAll()
	l.loop.run(ctx, l.options.View, l.options.View.Identities, reconcile.Options[opi.LRPIdentifier]{
		Reconcile: func(ctx context.Context, id opi.LRPIdentifier) (time.Duration, error) {
			again, err := l.steps.Run(ctx, &lostImage{id: id})
			if err != nil {
				err = fmt.Errorf("repair image of LRP %s: %w", id, err)
			}
			return again, err
		},
		Failed: func(id opi.LRPIdentifier, err error, _ time.Duration) {
			l.metrics.failures.Inc()
			l.logger.Error("reconcile-failed", err, lager.Data{"process_guid": id.ProcessGUID()})
		},
		Workers: l.options.Workers,
		Clock:   l.options.Clock,
	})
	return nil
}

// open finds the LRP's case or begins one.
func (l *LostImages) open(lrp view.LRP) *imageCase {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	held := l.cases[lrp.LRPIdentifier]
	if held == nil || held.uid != lrp.UID {
		held = &imageCase{uid: lrp.UID, told: map[string]bool{}}
		l.cases[lrp.LRPIdentifier] = held
	}
	return held
}

func (l *LostImages) close(id opi.LRPIdentifier) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.cases, id)
}

func (l *LostImages) closeAll() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	clear(l.cases)
}

// postpone counts a repair and sets the time of the next one.
func (c *imageCase) postpone(now time.Time) {
	c.next = now.Add(doubled(repairFirst, c.repairs, repairMost))
	c.repairs++
}

// takeBack corrects what postpone counted: the repair could not be made.
func (c *imageCase) takeBack(now time.Time) {
	c.next = now.Add(doubled(repairFirst, c.unmade, repairUnmade))
	c.repairs--
	c.unmade++
}

// doubled returns first, doubled a number of times, but at most most.
func doubled(first time.Duration, times int, most time.Duration) time.Duration {
	return min(most, first<<min(times, 10))
}
