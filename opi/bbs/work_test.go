package bbs_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/irene-cf/irene/opi"
)

// work is a back end that keeps tasks and builds in memory. Repeats are as in package k8s/job.
type work struct {
	mu sync.Mutex
	// requests are those that the work of a guid was made for.
	requests map[string]string
	tasks    []opi.Task
	builds   []opi.Build
	present  []opi.PresentTask
	canceled []string
	// buildDoor is that of all builds.
	buildDoor opi.Door
	// err is returned by every call, hold is called by Desire.
	err  error
	hold func(context.Context) error
}

func newWork() *work { return &work{requests: map[string]string{}, buildDoor: opi.DoorBBS} }

func (w *work) take(guid, request string) (isNew bool, err error) {
	if w.err != nil {
		return false, w.err
	}
	before, exists := w.requests[guid]
	if exists && request != "" && request != before {
		return false, fmt.Errorf("Job of %s: %w", guid, opi.ErrExists)
	}
	w.requests[guid] = request
	return !exists, nil
}

func (w *work) Desire(ctx context.Context, task opi.Task) error {
	if w.hold != nil {
		if err := w.hold(ctx); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	isNew, err := w.take(task.GUID, task.Request)
	if isNew {
		w.tasks = append(w.tasks, task)
	}
	return err
}

func (w *work) Present(_ context.Context, guid string) (opi.PresentTask, error) {
	for _, task := range w.present {
		if task.GUID == guid && w.err == nil {
			return task, nil
		}
	}
	if w.err != nil {
		return opi.PresentTask{}, w.err
	}
	return opi.PresentTask{}, fmt.Errorf("task %s: %w", guid, opi.ErrNotFound)
}

func (w *work) ListPresent(_ context.Context, doors []opi.Door) ([]opi.PresentTask, error) {
	return slices.DeleteFunc(slices.Clone(w.present), func(task opi.PresentTask) bool { return !slices.Contains(doors, task.Door) }), w.err
}

func (w *work) Door(ctx context.Context, guid string) (opi.Door, error) {
	task, err := w.Present(ctx, guid)
	return task.Door, err
}

func (w *work) Cancel(ctx context.Context, guid string) error {
	if _, err := w.Present(ctx, guid); err != nil {
		return err
	}
	w.canceled = append(w.canceled, "task "+guid)
	return nil
}

// builds is the part of the back end for builds.
type builds struct{ *work }

func (b builds) Stage(_ context.Context, build opi.Build) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	isNew, err := b.take(build.GUID, build.Request)
	if isNew {
		b.builds = append(b.builds, build)
	}
	return err
}

func (b builds) BuildDoor(_ context.Context, guid string) (opi.Door, error) {
	if b.err != nil {
		return "", b.err
	}
	if _, exists := b.requests[guid]; !exists {
		return "", fmt.Errorf("build %s: %w", guid, opi.ErrNotFound)
	}
	return b.buildDoor, nil
}

func (b builds) CancelStaging(_ context.Context, guid string) error {
	if b.err != nil {
		return b.err
	}
	if _, exists := b.requests[guid]; !exists {
		return fmt.Errorf("build %s: %w", guid, opi.ErrNotFound)
	}
	b.canceled = append(b.canceled, "build "+guid)
	return nil
}
