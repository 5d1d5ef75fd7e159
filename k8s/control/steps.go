package control

import (
	"context"
	"errors"
	"fmt"
)

// step is a named part of a reconcile.
type step[T any] struct {
	name string
	run  func(context.Context, T) error
}

// stepError is the error of one step.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return fmt.Sprintf("%s: %v", e.step, e.err) }

// Unwrap returns the step's own error.
func (e *stepError) Unwrap() error { return e.err }

// stepErrors joins the errors of the steps that failed, in their order.
type stepErrors []error

func (e stepErrors) Error() string { return errors.Join(e...).Error() }

// Unwrap returns the errors of the steps.
func (e stepErrors) Unwrap() []error { return e }

// runSteps runs all steps in their order, whether or not one of them fails.
func runSteps[T any](ctx context.Context, steps []step[T], subject T) error {
	var errs stepErrors
	for _, step := range steps {
		if err := step.run(ctx, subject); err != nil {
			errs = append(errs, &stepError{step: step.name, err: err})
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// failedSteps returns the names of the steps that failed, for the log.
func failedSteps(err error) (names []string) {
	var failed stepErrors
	if !errors.As(err, &failed) {
		return nil
	}
	for _, one := range failed {
		var failure *stepError
		if errors.As(one, &failure) {
			names = append(names, failure.step)
		}
	}
	return names
}
