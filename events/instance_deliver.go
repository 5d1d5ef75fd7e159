package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/opi"
)

// detailsUnknown describes a crash that was missed.
const detailsUnknown = "details unknown"

// event is what the report is about at present.
func (r *instanceReport) event() opi.InstanceReport {
	record := r.instance.record
	e := opi.InstanceReport{LRPIdentifier: record.LRPIdentifier, Kind: r.kind, Index: record.Index, GUID: record.GUID, Cell: record.Cell}
	switch r.kind {
	case opi.ReportCrashed:
		e.CrashCount, e.Crash.Description = r.first, detailsUnknown
		if r.crash != nil {
			e.Crash = *r.crash
		}
	case opi.ReportRescheduling:
		e.Reason = r.reason
	case opi.ReportReadinessChanged:
		e.Ready = r.instance.seen.Ready
	}
	return e
}

// deliver sends the next report of an LRP and marks its instance with it.
func (r *InstanceReports) deliver(ctx context.Context, id opi.LRPIdentifier) (time.Duration, error) {
	report, event, err := r.next(ctx, id)
	if err != nil || report == nil {
		return 0, err
	}
	if !report.answered {
		if err := r.tell(ctx, id, report, event); err != nil {
			return 0, err
		}
	}
	if err := r.mark(ctx, report.instance); err != nil {
		return 0, fmt.Errorf("mark instance %d of LRP %s: %w", report.instance.record.Index, id, err)
	}
	r.settled(id, report)
	return 0, nil
}

// next finds a report that was not told yet, as what is written down shows, and what it
// says; nil if there is none.
func (r *InstanceReports) next(ctx context.Context, id opi.LRPIdentifier) (*instanceReport, opi.InstanceReport, error) {
	for {
		r.mutex.Lock()
		queue := r.lrps[id]
		if queue == nil || queue.take() == nil {
			r.mutex.Unlock()
			return nil, opi.InstanceReport{}, nil
		}
		report := queue.take()
		instance := report.instance
		unread := !instance.read && !instance.gone
		if !unread && (report.answered || report.wanted()) {
			event := report.event()
			r.mutex.Unlock()
			return report, event, nil
		}
		if !unread {
			queue.drop(0)
			r.tidy(id, queue)
		}
		r.mutex.Unlock()
		if !unread {
			continue
		}
		// Another replica may have marked it just before this one took over.
		told, err := r.options.Instances.Told(ctx, instance.record)
		if err != nil && !errors.Is(err, opi.ErrNotFound) {
			return nil, opi.InstanceReport{}, fmt.Errorf("report instance %d of LRP %s: %w", instance.record.Index, id, err)
		}
		r.mutex.Lock()
		if err == nil {
			instance.learn(told)
		} else {
			instance.gone = true
		}
		r.mutex.Unlock()
	}
}

// tell makes one attempt; it fails unless the answer is definite.
func (r *InstanceReports) tell(ctx context.Context, id opi.LRPIdentifier, report *instanceReport, event opi.InstanceReport) error {
	path, body, err := r.options.Doors.encoder(report.instance.record.Door).EncodeReport(event)
	if err != nil {
		return fmt.Errorf("report %s of instance %d of LRP %s: %w", event.Kind, event.Index, id, err)
	}
	answer, err := r.cc.Post(ctx, string(event.Kind), r.url+path, body)
	if err != nil {
		return fmt.Errorf("report %s of instance %d of LRP %s: %w", event.Kind, event.Index, id, err)
	}
	data := lager.Data{"process_guid": id.ProcessGUID(), "report": event.Kind, "index": event.Index, "instance": event.GUID,
		"status": answer.Status, "error-code": answer.ErrorCode}
	switch answer.Verdict() {
	case Accepted:
		r.metrics.answered(report, answerAccepted)
		r.logger.Debug("delivered", data)
	case Refused:
		r.metrics.answered(report, answerRefused)
		r.logger.Info("refused", data)
	case Misconfigured:
		err = fmt.Errorf("report %s of instance %d of LRP %s: %s: Cloud Controller does not accept Irene's certificate, or is not what answers there",
			event.Kind, event.Index, id, answer)
		return reconcile.Postpone(err, max(misconfiguredPause, answer.RetryAfter))
	default:
		err = fmt.Errorf("report %s of instance %d of LRP %s: %s", event.Kind, event.Index, id, answer)
		return reconcile.Postpone(err, answer.RetryAfter)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	report.settle(event.Ready)
	return nil
}

// mark writes down what was told of an instance, unless it is gone.
func (r *InstanceReports) mark(ctx context.Context, instance *reportedInstance) error {
	r.mutex.Lock()
	told, gone := instance.told, instance.gone
	r.mutex.Unlock()
	if gone {
		return nil
	}
	err := r.options.Instances.Mark(ctx, instance.record, told)
	if errors.Is(err, opi.ErrNotFound) {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		instance.gone = true
		return nil
	}
	return err
}

// settled goes on with what is next.
func (r *InstanceReports) settled(id opi.LRPIdentifier, report *instanceReport) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	queue := r.lrps[id]
	queue.done(report)
	if len(queue.reports) > 0 {
		r.deliveries.Add(id)
	}
	r.tidy(id, queue)
}
