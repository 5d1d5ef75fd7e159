package events

import (
	"slices"
	"time"

	"github.com/irene-cf/irene/opi"
)

const (
	// maxDetailed is how many crashes of one instance wait with their details. Of those
	// before them only the number is kept; they are told all the same.
	maxDetailed = 16
	// maxGone is how many reports of one LRP wait about instances that are gone.
	maxGone = 256
)

// reportKinds are the kinds of reports that are not for every Cloud Controller.
type reportKinds struct{ rescheduling, readiness bool }

// reportQueue has what is still to be told of one LRP, in the order in which it was
// noticed. Whoever uses it holds InstanceReports.mutex.
type reportQueue struct {
	reports []*instanceReport
	// instances by guid: those that something was to be told of.
	instances map[string]*reportedInstance
}

// reportedInstance is what is known to have been told of an instance.
type reportedInstance struct {
	// record says who it is; what happened is in reports.
	record opi.InstanceRecord
	// told was answered, seen is what was told or waits to be.
	told, seen opi.InstanceTold
	// read is whether what others had told was read from where it is written down.
	read bool
	// gone is whether there is nothing left to write on.
	gone bool
	// waiting are its reports.
	waiting int
}

// instanceReport is one thing to tell, or several crashes of which nothing is known.
type instanceReport struct {
	instance *reportedInstance
	kind     opi.ReportKind
	// first to last are the numbers of crashes. crash is nil if no details are known.
	first, last int
	crash       *opi.Crash
	reason      string
	noticed     time.Time
	// taken is whether it is being delivered; answered, whether only the mark is
	// missing.
	taken, answered bool
}

// observe compares what has happened with what is known, and says how many reports had
// to be dropped.
func (q *reportQueue) observe(records []opi.InstanceRecord, kinds reportKinds, now time.Time) (dropped int) {
	present := make(map[string]bool, len(records))
	for _, record := range records {
		present[record.GUID] = true
		if q.instances[record.GUID] == nil && !news(record, kinds) {
			continue
		}
		instance := q.instance(record)
		instance.gone = false
		q.crashed(instance, record, now)
		if record.Rescheduled != "" {
			q.moves(instance, record.Rescheduled, kinds)
		}
		if kinds.readiness && record.Ready != nil {
			q.ready(instance, *record.Ready, now)
		}
	}
	for guid, instance := range q.instances {
		if !present[guid] {
			q.vanished(instance)
		}
	}
	return q.dropGone()
}

// news is whether something is to be told of an instance that nothing is known of.
func news(record opi.InstanceRecord, kinds reportKinds) bool {
	return record.Crashes > record.Told.Crashes ||
		kinds.rescheduling && record.Rescheduled != "" && !record.Told.Rescheduled ||
		kinds.readiness && record.Ready != nil && *record.Ready != record.Told.Ready
}

func (q *reportQueue) instance(record opi.InstanceRecord) *reportedInstance {
	instance := q.instances[record.GUID]
	if instance == nil {
		instance = &reportedInstance{told: record.Told, seen: record.Told}
		instance.record = opi.InstanceRecord{
			LRPIdentifier: record.LRPIdentifier, Door: record.Door, Index: record.Index, GUID: record.GUID, Cell: record.Cell, Object: record.Object,
		}
		q.instances[record.GUID] = instance
	}
	return instance
}

func (q *reportQueue) crashed(instance *reportedInstance, record opi.InstanceRecord, now time.Time) {
	next := instance.seen.Crashes + 1
	if record.Crashes < next {
		return
	}
	if missed := record.Crashes - 1; missed >= next {
		q.add(&instanceReport{instance: instance, kind: opi.ReportCrashed, first: next, last: missed, noticed: now})
	}
	q.add(&instanceReport{
		instance: instance, kind: opi.ReportCrashed, first: record.Crashes, last: record.Crashes, crash: record.LastCrash, noticed: now,
	})
	instance.seen.Crashes = record.Crashes
	if instance.waiting > maxDetailed {
		q.fold(instance)
	}
}

// fold forgets the details of an instance's first waiting crash that has some.
func (q *reportQueue) fold(instance *reportedInstance) {
	detailed := 0
	for _, report := range q.reports {
		if report.instance == instance && report.crash != nil {
			detailed++
		}
	}
	if detailed <= maxDetailed {
		return
	}
	var before *instanceReport
	for i, report := range q.reports {
		if report.instance != instance || report.kind != opi.ReportCrashed || report.taken {
			continue
		}
		if report.crash == nil {
			before = report
			continue
		}
		report.crash = nil
		if before != nil && before.last+1 == report.first {
			before.last = report.last
			q.reports = slices.Delete(q.reports, i, i+1)
			instance.waiting--
		}
		return
	}
}

// moves notes that an instance is taken off its cell.
func (q *reportQueue) moves(instance *reportedInstance, reason string, kinds reportKinds) {
	if !kinds.rescheduling || instance.seen.Rescheduled {
		return
	}
	instance.seen.Rescheduled = true
	q.add(&instanceReport{instance: instance, kind: opi.ReportRescheduling, reason: reason, noticed: time.Now()})
}

// ready notes whether an instance takes requests. What changes back before it was told is
// not told.
func (q *reportQueue) ready(instance *reportedInstance, ready bool, now time.Time) {
	if instance.seen.Ready == ready {
		return
	}
	instance.seen.Ready = ready
	for _, report := range q.reports {
		if report.instance == instance && report.kind == opi.ReportReadinessChanged {
			return
		}
	}
	q.add(&instanceReport{instance: instance, kind: opi.ReportReadinessChanged, noticed: now})
}

func (q *reportQueue) add(report *instanceReport) {
	report.instance.waiting++
	q.reports = append(q.reports, report)
}

// vanished notes that nothing can be written on an instance any more.
func (q *reportQueue) vanished(instance *reportedInstance) {
	instance.gone = true
	if instance.waiting == 0 {
		delete(q.instances, instance.record.GUID)
	}
}

// dropGone keeps the number of reports in bounds of which no trace is left elsewhere.
func (q *reportQueue) dropGone() (dropped int) {
	gone := 0
	for _, report := range q.reports {
		if report.instance.gone {
			gone++
		}
	}
	for i := 0; gone > maxGone && i < len(q.reports); {
		report := q.reports[i]
		if !report.instance.gone || report.taken {
			i++
			continue
		}
		q.drop(i)
		gone, dropped = gone-1, dropped+report.last-report.first+1
	}
	return dropped
}

func (q *reportQueue) drop(at int) {
	instance := q.reports[at].instance
	q.reports = slices.Delete(q.reports, at, at+1)
	if instance.waiting--; instance.waiting == 0 && instance.gone {
		delete(q.instances, instance.record.GUID)
	}
}

// take returns the report that is next; nil if there is none.
func (q *reportQueue) take() *instanceReport {
	if len(q.reports) == 0 {
		return nil
	}
	q.reports[0].taken = true
	return q.reports[0]
}

// learn takes what is written down of an instance.
func (i *reportedInstance) learn(told opi.InstanceTold) {
	i.read = true
	i.told.Crashes = max(i.told.Crashes, told.Crashes)
	i.seen.Crashes = max(i.seen.Crashes, told.Crashes)
	i.told.Rescheduled = i.told.Rescheduled || told.Rescheduled
	i.told.Ready = told.Ready
}

// wanted is whether the report that was taken has not been told.
func (r *instanceReport) wanted() bool {
	told, seen := r.instance.told, r.instance.seen
	switch r.kind {
	case opi.ReportCrashed:
		r.first = max(r.first, told.Crashes+1)
		return r.first <= r.last
	case opi.ReportRescheduling:
		return !told.Rescheduled
	default:
		return told.Ready != seen.Ready
	}
}

// settle notes that the report was answered; ready is what it said where it was about
// that.
func (r *instanceReport) settle(ready bool) {
	r.answered = true
	told := &r.instance.told
	switch r.kind {
	case opi.ReportCrashed:
		told.Crashes = r.first
	case opi.ReportRescheduling:
		told.Rescheduled = true
	default:
		told.Ready = ready
	}
}

// done ends with the report that was taken, which is the first, or with the first crash
// of several.
func (q *reportQueue) done(report *instanceReport) {
	report.answered = false
	if report.wanted() {
		return
	}
	q.drop(0)
}
