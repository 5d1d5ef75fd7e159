package bbs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"code.cloudfoundry.org/bbs/models"
	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/opi"
)

// Tasks is the back end for tasks. Errors are as those of [LRPs]. They wrap opi.ErrExists for a
// task that another request desired ([opi.Task.Request]).
type Tasks interface {
	// Desire makes sure that the task is on record and will be run once.
	Desire(ctx context.Context, task opi.Task) error
	// Present returns a task that ListPresent would have.
	Present(ctx context.Context, guid string) (opi.PresentTask, error)
	// ListPresent returns all tasks of some doors with no outcome that Cloud Controller has
	// answered, or fails.
	ListPresent(ctx context.Context, doors []opi.Door) ([]opi.PresentTask, error)
	// Door returns the door by which a task that ListPresent would have was desired.
	Door(ctx context.Context, guid string) (opi.Door, error)
	// Cancel ends the task of a guid; one that has ended stays as it is.
	Cancel(ctx context.Context, guid string) error
}

// Builds is the back end for staging. Errors are as those of [Tasks].
type Builds interface {
	// Stage makes sure that the build is on record and will be done.
	Stage(ctx context.Context, build opi.Build) error
	// BuildDoor returns the door by which the build of a guid was asked for.
	BuildDoor(ctx context.Context, guid string) (opi.Door, error)
	// CancelStaging ends the build of a guid; one that has ended stays as it is.
	CancelStaging(ctx context.Context, guid string) error
}

// taskRoutes are the routes about tasks. For callers, builds are tasks of the domain
// [stagingDomain].
type taskRoutes struct {
	tasks    Tasks
	builds   Builds
	logger   lager.Logger
	adoption adoption
}

func newTasks(options Options, logger lager.Logger) *taskRoutes {
	return &taskRoutes{tasks: options.Tasks, builds: options.Builds, logger: logger, adoption: adoption{opi: options.AdoptOPI}}
}

func (h *taskRoutes) register(f *front) {
	for _, revision := range []string{".r2", ".r3"} {
		writeIdentified(f, "/v1/tasks/desire"+revision, "run the task", h.desire)
		read(f, "/v1/tasks/get_by_task_guid"+revision, "look at the task", h.get)
		read(f, "/v1/tasks/list"+revision, "list the tasks", h.list)
	}
	write(f, "/v1/tasks/cancel", "cancel the task", h.cancel)
}

// desire answers with success if the task or build is on record for this request. Cloud
// Controller takes any error for the end of the task or build, also ResourceExists.
func (h *taskRoutes) desire(ctx context.Context, request *models.DesireTaskRequest, identity string) error {
	if request.Domain == stagingDomain {
		return nameTaskGUID(h.stage(ctx, request, identity))
	}
	return nameTaskGUID(h.run(ctx, request, identity))
}

func (h *taskRoutes) run(ctx context.Context, request *models.DesireTaskRequest, identity string) error {
	task, err := task(request.TaskDefinition, request.TaskGuid, request.Domain)
	if err != nil {
		return err // The rules of the domain would find more faults in what is left.
	}
	task, odd := task.Normalize()
	if err := task.Validate(); err != nil {
		return err
	}
	h.logOdd(request, odd)
	task.Request = identity
	return h.tasks.Desire(ctx, task)
}

func (h *taskRoutes) stage(ctx context.Context, request *models.DesireTaskRequest, identity string) error {
	build, err := build(request.TaskDefinition, request.TaskGuid)
	if err != nil {
		return err
	}
	build, odd := build.Normalize()
	if err := build.Validate(); err != nil {
		return err
	}
	h.logOdd(request, odd)
	build.Request = identity
	return h.builds.Stage(ctx, build)
}

func (h *taskRoutes) logOdd(request *models.DesireTaskRequest, odd error) {
	if faults := faults(odd); faults != "" {
		h.logger.Info("odd-values", lager.Data{"task_guid": request.TaskGuid, "left_out": faults})
	}
}

// guidName is the name of the guid in requests about tasks; in those about LRPs it has another.
var guidName = opi.FieldNames{{regexp.MustCompile(`^guid$`), "task_guid"}}

// nameTaskGUID gives the field of the guid the name that it has in requests about tasks. Other
// errors stay as they are.
func nameTaskGUID(err error) error {
	fields := opi.FieldErrors(err)
	if !slices.ContainsFunc(fields, func(field *opi.FieldError) bool { return field.Field == "guid" }) {
		return err
	}
	return guidName.Rename(fields)
}

// get answers with a task that is listed. Cloud Controller fails a task that is neither.
func (h *taskRoutes) get(ctx context.Context, request *models.TaskByGuidRequest, out *answer) error {
	task, err := h.tasks.Present(ctx, request.TaskGuid)
	if err != nil {
		return err
	}
	domain, ok := h.adoption.domainOf(task.Door, task.Domain, tasksDomain)
	if !ok {
		return foreign("task", task.GUID, task.Door)
	}
	task.Domain = domain
	return out.message(&models.TaskResponse{Task: wireTask(task)})
}

// list answers with this door's tasks until Cloud Controller has answered their outcomes.
func (h *taskRoutes) list(ctx context.Context, request *models.TasksRequest, out *answer) error {
	tasks, err := h.tasks.ListPresent(ctx, h.adoption.doors())
	if err != nil {
		return err
	}
	for _, task := range tasks {
		task.Domain, _ = h.adoption.domainOf(task.Door, task.Domain, tasksDomain)
		if request.Domain != "" && request.Domain != task.Domain || request.CellId != "" && request.CellId != task.Cell {
			continue
		}
		if err := out.entry(wireTask(task)); err != nil {
			return err
		}
	}
	return nil
}

// cancel ends a task or a build: Cloud Controller names the guid alone. What has ended, but has
// an outcome that is not yet answered, is canceled with success.
func (h *taskRoutes) cancel(ctx context.Context, request *models.TaskGuidRequest) error {
	err := h.cancelIn(ctx, "task", request.TaskGuid, h.tasks.Door, h.tasks.Cancel)
	if errors.Is(err, opi.ErrNotFound) {
		return h.cancelIn(ctx, "build", request.TaskGuid, h.builds.BuildDoor, h.builds.CancelStaging)
	}
	return err
}

// cancelIn cancels work of one kind if its door is one that this door answers for.
func (h *taskRoutes) cancelIn(
	ctx context.Context, kind, guid string, find func(context.Context, string) (opi.Door, error), cancel func(context.Context, string) error,
) error {
	door, err := find(ctx, guid)
	if err != nil {
		return err
	}
	if !h.adoption.has(door) {
		return foreign(kind, guid, door)
	}
	return cancel(ctx, guid)
}

// foreign returns the error for work of a door that this door does not answer for.
func foreign(kind, guid string, door opi.Door) error {
	return fmt.Errorf("find %s %s: it was asked for through the front door %q: %w", kind, guid, door, opi.ErrNotFound)
}

// wireTask converts a task. What it runs and its callback are left out: they have secrets, and
// no caller reads them. So are egress rules, as in answers about LRPs: they may be large.
func wireTask(task opi.PresentTask) *models.Task {
	state := models.Task_Pending
	if task.Cell != "" {
		state = models.Task_Running
	}
	wire := &models.TaskDefinition{
		RootFs: wireRootFS(task.Stack, task.Image), LogGuid: task.AppGUID, Annotation: task.Annotation,
		MaxPids: int32(task.Limits.PIDs), MetricTags: wireMetricTags(task.MetricTags),
	}
	if task.Limits.LogBytesPerSecond != nil {
		wire.LogRateLimit = &models.LogRateLimit{BytesPerSecond: *task.Limits.LogBytesPerSecond}
	}
	return &models.Task{
		TaskDefinition: wire,
		TaskGuid:       task.GUID,
		Domain:         task.Domain,
		CreatedAt:      task.Created.UnixNano(),
		UpdatedAt:      task.Created.UnixNano(),
		State:          state,
		CellId:         task.Cell,
	}
}
