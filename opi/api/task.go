package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"code.cloudfoundry.org/lager/v3"
	"github.com/julienschmidt/httprouter"

	"github.com/irene-cf/irene/opi"
)

// Tasks is the back end for tasks. Errors are as those of LRPs.
type Tasks interface {
	// Desire makes sure that the task is on record and will be run once; the same task
	// again, also one that has ended, changes nothing.
	Desire(ctx context.Context, task opi.Task) error
	// Get is nil for a task that List would have.
	Get(ctx context.Context, guid string) error
	// List returns the guids of all tasks of a door that are not yet reported as ended, or
	// fails.
	List(ctx context.Context, door opi.Door) ([]string, error)
	// Cancel ends the task of a guid; one that has ended stays as it is.
	Cancel(ctx context.Context, guid string) error
}

const taskParameter = "task_guid"

type taskHandler struct {
	tasks  Tasks
	logger lager.Logger
}

// taskResponse is a task as Cloud Controller reads it: what it is not shown, it takes
// for lost.
type taskResponse struct {
	GUID string `json:"guid"`
}

// desire answers POST /tasks/:task_guid; success is exactly 202, and anything else fails
// the task.
func (h *taskHandler) desire(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	guid := params.ByName(taskParameter)
	var wire taskRequest
	err := readJSON(r, &wire)
	if err == nil {
		err = rename(taskNames, h.desireTask(r.Context(), guid, wire))
	}
	if err != nil {
		h.fail(w, "run the task", "desire-task", guid, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (h *taskHandler) desireTask(ctx context.Context, guid string, wire taskRequest) error {
	task, err := wire.task(guid)
	if err != nil {
		return &malformedError{fields: opi.FieldErrors(err)}
	}
	task, odd := task.Normalize()
	if err := task.Validate(); err != nil {
		return err
	}
	logOdd(h.logger, "task", lager.Data{"task_guid": guid}, opi.FieldErrors(rename(taskNames, odd)))
	return h.tasks.Desire(ctx, task)
}

// list answers GET /tasks. Cloud Controller asks about each task that is missing, and
// fails it if it stays unknown.
func (h *taskHandler) list(w http.ResponseWriter, r *http.Request, _ httprouter.Params) {
	guids, err := h.tasks.List(r.Context(), opi.DoorOPI)
	if err != nil {
		h.fail(w, "list tasks", "list-tasks", "", err)
		return
	}
	tasks := make([]taskResponse, 0, len(guids))
	for _, guid := range guids {
		tasks = append(tasks, taskResponse{GUID: guid})
	}
	respond(w, http.StatusOK, tasks)
}

// get answers GET /tasks/:task_guid; Cloud Controller takes 404 for "gone".
func (h *taskHandler) get(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	guid := params.ByName(taskParameter)
	if err := h.tasks.Get(r.Context(), guid); err != nil {
		h.fail(w, "look at the task", "get-task", guid, err)
		return
	}
	respond(w, http.StatusOK, taskResponse{GUID: guid})
}

// cancel answers DELETE /tasks/:task_guid.
func (h *taskHandler) cancel(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	guid := params.ByName(taskParameter)
	if err := h.tasks.Cancel(r.Context(), guid); err != nil {
		h.fail(w, "cancel the task", "cancel-task", guid, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *taskHandler) fail(w http.ResponseWriter, doing, action, guid string, err error) {
	code, text := status(err), userMessage(doing, err)
	if errors.Is(err, opi.ErrNotFound) {
		text = fmt.Sprintf("there is no task %q", guid)
	}
	logFailure(h.logger, action, lager.Data{taskParameter: guid}, code, err)
	respond(w, code, errorMessage{Message: text})
}
