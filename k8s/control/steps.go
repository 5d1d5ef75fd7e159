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

// runSteps runs all steps in their order, whether or not one of them fails. An error begins
// with the name of its step.
func runSteps[T any](ctx context.Context, steps []step[T], subject T) error {
	var errs []error
	for _, step := range steps {
		if err := step.run(ctx, subject); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	return errors.Join(errs...)
}
