package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/cache"

	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/opi"
)

// Instances knows what has happened to the instances of LRPs and keeps what was told of
// them beside them.
type Instances interface {
	// Synced is whether Identities and Records are complete, and Identities are those of
	// all LRPs.
	Synced() bool
	Identities() []opi.LRPIdentifier
	// Records are those of the LRP's desired instances at present, by index.
	Records(opi.LRPIdentifier) []opi.InstanceRecord
	// Told reads what is written down of an instance, where Records may be behind. Mark
	// writes it down. Both errors wrap opi.ErrNotFound when the instance is gone.
	Told(context.Context, opi.InstanceRecord) (opi.InstanceTold, error)
	Mark(context.Context, opi.InstanceRecord, opi.InstanceTold) error
}

// reportTimeout bounds a request: Cloud Controller writes down what it is told, and
// starts nothing before it answers.
const reportTimeout = 30 * time.Second

// InstanceReportsOptions are what InstanceReports needs.
type InstanceReportsOptions struct {
	Instances Instances
	// Doors encode the reports about the LRPs that were desired through them.
	Doors Doors
	// CloudController delivers to URL, which is the address of its internal API for
	// mutual TLS, such as https://cloud-controller.example:9023.
	CloudController *CloudController
	URL             string
	// Rescheduling and Readiness say whether those are told, which older Cloud
	// Controllers don't know. Crashes always are.
	Rescheduling, Readiness bool
	// Workers is how many LRPs' reports are delivered at once. 0 means DefaultWorkers.
	Workers int
	// Logger and Registerer are required.
	Logger     lager.Logger
	Registerer prometheus.Registerer
}

// InstanceReports tells Cloud Controller of crashes, of instances that move, and of their
// readiness; see the package comment.
type InstanceReports struct {
	options InstanceReportsOptions
	// url has no slash at its end.
	url     string
	cc      *CloudController
	logger  lager.Logger
	metrics *instanceMetrics

	mutex sync.Mutex
	// observations and deliveries are nil while it does not run.
	observations, deliveries *reconcile.Loop[opi.LRPIdentifier]
	lrps                     map[opi.LRPIdentifier]*reportQueue
}

// NewInstanceReports checks the options. Nothing runs before Run.
func NewInstanceReports(options InstanceReportsOptions) (*InstanceReports, error) {
	u, err := parseURL(options.URL)
	if err == nil && (u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		err = errors.New("the URL has more than scheme, host and path")
	}
	if err != nil {
		return nil, fmt.Errorf("report instances: %w", err)
	}
	if len(options.Doors) == 0 {
		return nil, errors.New("report instances: no door is given")
	}
	if options.Workers < 0 {
		return nil, fmt.Errorf("report instances: %d workers are too few", options.Workers)
	}
	if options.Workers == 0 {
		options.Workers = DefaultWorkers
	}
	r := &InstanceReports{
		options: options,
		url:     strings.TrimSuffix(u.String(), "/"),
		cc:      options.CloudController.Within(reportTimeout),
		logger:  options.Logger.Session("instance-reports"),
		lrps:    map[opi.LRPIdentifier]*reportQueue{},
	}
	r.metrics = newInstanceMetrics(options.Registerer, r)
	return r, nil
}

// Changed is to be called after something of an LRP's instances has changed. It returns
// at once.
func (r *InstanceReports) Changed(id opi.LRPIdentifier) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.observations != nil {
		r.observations.Add(id)
	}
}

var errNotReporting = errors.New("instance reports are not under way here")

// Rescheduled takes in the report of an instance that is about to be removed, which its
// record may therefore never show. An error says that it does not run.
func (r *InstanceReports) Rescheduled(record opi.InstanceRecord) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.deliveries == nil {
		return errNotReporting
	}
	queue := r.queueOf(record.LRPIdentifier)
	queue.moves(queue.instance(record), record.Rescheduled, r.reports())
	r.deliveries.Add(record.LRPIdentifier)
	return nil
}

// Observe takes in at once what has happened to an LRP's instances, for a caller that is
// about to let one of them go. It returns an error if reports are not running.
func (r *InstanceReports) Observe(id opi.LRPIdentifier) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.deliveries == nil {
		return errNotReporting
	}
	r.takeIn(id)
	return nil
}

// Run reports until ctx ends. It belongs where this replica leads; one that overlaps
// with another's does no harm beyond reports that are sent twice. After it has returned,
// nothing of it runs, and it may be called again.
func (r *InstanceReports) Run(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), r.options.Instances.Synced) {
		return nil // ctx ended first
	}
	observations := work[opi.LRPIdentifier]{
		logger: r.logger.Session("observation"), kind: "process_guid", workers: r.options.Workers, reconcile: r.observe, failed: r.metrics.failures.Inc,
	}.loop()
	deliveries := work[opi.LRPIdentifier]{
		logger: r.logger.Session("delivery"), kind: "process_guid", workers: r.options.Workers, reconcile: r.deliver, failed: r.metrics.failures.Inc,
		patient: true,
	}.loop()
	r.set(observations, deliveries)
	for _, id := range r.options.Instances.Identities() {
		observations.Add(id)
	}
	runLoops(ctx, observations, deliveries)
	r.set(nil, nil)
	return nil
}

// set begins anew.
func (r *InstanceReports) set(observations, deliveries *reconcile.Loop[opi.LRPIdentifier]) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.observations, r.deliveries = observations, deliveries
	clear(r.lrps)
}

// reports are the kinds that are told.
func (r *InstanceReports) reports() reportKinds {
	return reportKinds{rescheduling: r.options.Rescheduling, readiness: r.options.Readiness}
}

func (r *InstanceReports) queueOf(id opi.LRPIdentifier) *reportQueue {
	queue := r.lrps[id]
	if queue == nil {
		queue = &reportQueue{instances: map[string]*reportedInstance{}}
		r.lrps[id] = queue
	}
	return queue
}

// observe takes in what has happened to an LRP's instances. It asks nobody and waits for
// nothing, so that details are not lost to the next crash while Cloud Controller is away.
func (r *InstanceReports) observe(_ context.Context, id opi.LRPIdentifier) (time.Duration, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.takeIn(id)
	return 0, nil
}

// takeIn is observe for a caller who holds the mutex, which keeps an older look at the
// records from being taken in after a later one.
func (r *InstanceReports) takeIn(id opi.LRPIdentifier) {
	records := r.options.Instances.Records(id)
	queue := r.lrps[id]
	if queue == nil {
		if len(records) == 0 {
			return
		}
		queue = r.queueOf(id)
	}
	dropped := queue.observe(records, r.reports(), time.Now())
	if dropped > 0 {
		r.metrics.dropped.Add(float64(dropped))
		r.logger.Error("dropped", errors.New("too many reports wait about instances that are gone"),
			lager.Data{"process_guid": id.ProcessGUID(), "reports": dropped})
	}
	if len(queue.reports) > 0 {
		r.deliveries.Add(id)
	}
	r.tidy(id, queue)
}

// tidy forgets an LRP of which nothing is to be known.
func (r *InstanceReports) tidy(id opi.LRPIdentifier, queue *reportQueue) {
	if len(queue.instances) == 0 && len(queue.reports) == 0 {
		delete(r.lrps, id)
	}
}
