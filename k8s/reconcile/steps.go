package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Step is a named part of a reconcile of a subject.
type Step[T any] struct {
	Name string
	Run  func(ctx context.Context, subject T) (Result, error)
}

// Result is what follows a step.
type Result struct {
	// Again is the time after which the subject has to be reconciled again; 0 means not
	// before it changes.
	Again time.Duration
	// Last skips the steps after this one.
	Last bool
}

// Steps are what a controller does in each reconcile, in this order.
type Steps[T any] struct {
	steps    []Step[T]
	failures *prometheus.CounterVec
}

// NewSteps returns the steps of a controller, whose name is a label of their metrics. Several
// controllers may have the same registerer; without one there are no metrics.
func NewSteps[T any](controller string, registerer prometheus.Registerer, steps ...Step[T]) *Steps[T] {
	failures := failuresIn(registerer).MustCurryWith(prometheus.Labels{"controller": controller})
	for _, step := range steps {
		failures.WithLabelValues(step.Name)
	}
	return &Steps[T]{steps: steps, failures: failures}
}

// failuresIn returns the one metric of a registerer for the steps of all controllers.
func failuresIn(registerer prometheus.Registerer) *prometheus.CounterVec {
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "irene_reconcile_step_failures_total",
		Help: "Steps of controllers that failed and are tried again.",
	}, []string{"controller", "step"})
	if registerer == nil {
		return failures
	}
	err := registerer.Register(failures)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return already.ExistingCollector.(*prometheus.CounterVec)
	}
	if err != nil {
		panic(err) // as MustRegister does
	}
	return failures
}

// Run runs the steps, whether or not one of them fails, up to one whose [Result] is the
// last. An error begins with the name of its step. again is the shortest time that a step
// returned.
func (s *Steps[T]) Run(ctx context.Context, subject T) (again time.Duration, err error) {
	var errs []error
	for _, step := range s.steps {
		result, err := step.Run(ctx, subject)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.Name, err))
			if ctx.Err() == nil {
				s.failures.WithLabelValues(step.Name).Inc()
			}
		}
		if again == 0 || result.Again > 0 && result.Again < again {
			again = result.Again
		}
		if result.Last {
			break
		}
	}
	return again, errors.Join(errs...)
}
