package events

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/reconcile"
)

const (
	// DefaultTombstoneTTL is how long a Job stays after its outcome was answered.
	DefaultTombstoneTTL = time.Hour
	// DefaultWorkers is how many outcomes are on their way at once.
	DefaultWorkers = 32
)

// Options are what Jobs needs.
type Options struct {
	// Kubernetes calls the API server; Jobs and pods of Namespace only.
	Kubernetes kubernetes.Interface
	Namespace  string
	// Kinds says who decides, by the label keys.SourceType of Jobs and their pods.
	Kinds map[string]Decider
	// Doors encode the outcomes of what was asked for through them.
	Doors Doors
	// CloudController delivers.
	CloudController *CloudController
	// TombstoneTTL is how long a Job stays after its outcome was answered. 0 means
	// DefaultTombstoneTTL.
	TombstoneTTL time.Duration
	// Workers is how many outcomes are delivered at once, and how many are decided at
	// once beside that. 0 means DefaultWorkers.
	Workers int
	// Logger and Registerer are required.
	Logger     lager.Logger
	Registerer prometheus.Registerer
}

// Jobs reports the outcomes of Jobs; see the package comment.
type Jobs struct {
	options  Options
	selector string
	logger   lager.Logger
	metrics  *jobMetrics
	byState  *jobsByState
	pending  pending
}

// NewJobs checks the options. Nothing runs before Run.
func NewJobs(options Options) (*Jobs, error) {
	switch {
	case len(options.Kinds) == 0:
		return nil, errors.New("report Jobs: no kind of Job is given")
	case len(options.Doors) == 0:
		return nil, errors.New("report Jobs: no door is given")
	case options.Namespace == "":
		return nil, errors.New("report Jobs: no namespace is given")
	case options.TombstoneTTL < 0:
		return nil, fmt.Errorf("report Jobs: the tombstone's time %s is negative", options.TombstoneTTL)
	case options.Workers < 0:
		return nil, fmt.Errorf("report Jobs: %d workers are too few", options.Workers)
	}
	if options.TombstoneTTL == 0 {
		options.TombstoneTTL = DefaultTombstoneTTL
	}
	if options.Workers == 0 {
		options.Workers = DefaultWorkers
	}
	kinds := slices.Sorted(maps.Keys(options.Kinds))
	j := &Jobs{
		options:  options,
		selector: keys.SourceType + " in (" + strings.Join(kinds, ",") + ")",
		logger:   options.Logger.Session("outcomes"),
	}
	j.pending.clear()
	j.metrics = newJobMetrics(options.Registerer, &j.pending, kinds)
	j.byState = &jobsByState{kinds: kinds}
	options.Registerer.MustRegister(j.byState)
	return j, nil
}

// Run reports until ctx ends. It belongs where this replica leads; one that overlaps
// with another's does no harm beyond an outcome that is sent twice. After it has
// returned, nothing of it runs, and it may be called again.
func (j *Jobs) Run(ctx context.Context) error {
	r := &run{
		kubernetes:      j.options.Kubernetes,
		namespace:       j.options.Namespace,
		kinds:           j.options.Kinds,
		doors:           j.options.Doors,
		cloudController: j.options.CloudController,
		tombstoneTTL:    j.options.TombstoneTTL,
		logger:          j.logger,
		metrics:         j.metrics,
		pending:         &j.pending,
	}
	defer j.pending.clear()
	failed := func(step string) func() { return j.metrics.failures.WithLabelValues(step).Inc }
	changed := func(job string) { r.states.Add(job) }
	var err error
	if r.watched, err = watch(j.options.Kubernetes, j.options.Namespace, j.selector, changed, changed); err != nil {
		return fmt.Errorf("report Jobs: %w", err)
	}
	r.states = work[string]{
		logger: j.logger.Session("state"), kind: "job", workers: j.options.Workers, reconcile: r.state, failed: failed("decide"),
	}.loop()
	r.deliveries = work[string]{
		logger: j.logger.Session("delivery"), kind: "job", workers: j.options.Workers, reconcile: r.deliver, failed: failed("deliver"), patient: true,
	}.loop()

	j.byState.show(r.watched)
	defer j.byState.show(nil)

	watching, stopWatching := context.WithCancel(ctx)
	r.factory.StartWithContext(watching)
	defer r.factory.Shutdown()
	defer stopWatching()
	r.factory.WaitForCacheSyncWithContext(ctx)

	runLoops(ctx, r.states, r.deliveries)
	return nil
}

// run is what one Run works with.
type run struct {
	*watched
	kubernetes      kubernetes.Interface
	namespace       string
	kinds           map[string]Decider
	doors           Doors
	cloudController *CloudController
	tombstoneTTL    time.Duration
	logger          lager.Logger
	metrics         *jobMetrics
	pending         *pending

	// states decides and cleans up, deliveries sends and marks. They are apart, so that
	// a Cloud Controller that doesn't answer holds up nothing but deliveries.
	states, deliveries *reconcile.Loop[string]
}
