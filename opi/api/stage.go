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

// Builds is the back end for staging. Errors are as those of LRPs.
type Builds interface {
	// Stage makes sure that the build is on record and will be done; the same build
	// again, also one that has ended, changes nothing.
	Stage(ctx context.Context, build opi.Build) error
	// CancelStaging ends the build of a guid; one that has ended stays as it is.
	CancelStaging(ctx context.Context, guid string) error
}

const stagingParameter = "staging_guid"

type stageHandler struct {
	builds Builds
	logger lager.Logger
}

// stage answers POST /stage/:staging_guid; success is exactly 202, and the message of
// anything else becomes the build's error.
func (h *stageHandler) stage(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	guid := params.ByName(stagingParameter)
	var wire stageRequest
	err := readJSON(r, &wire)
	if err == nil {
		err = wire.rename(h.stageBuild(r.Context(), guid, wire))
	}
	if err != nil {
		h.fail(w, "stage the app", "stage", guid, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (h *stageHandler) stageBuild(ctx context.Context, guid string, wire stageRequest) error {
	if wire.StagingGUID != "" && wire.StagingGUID != guid {
		return malformed("staging_guid", fmt.Sprintf("the path names %q, the body %q", guid, wire.StagingGUID))
	}
	wire.StagingGUID = guid
	build, err := wire.build()
	if err != nil {
		return &malformedError{fields: opi.FieldErrors(err)}
	}
	build, odd := build.Normalize()
	if err := build.Validate(); err != nil {
		return err
	}
	logOdd(h.logger, "stage", lager.Data{stagingParameter: guid}, opi.FieldErrors(wire.rename(odd)))
	return h.builds.Stage(ctx, build)
}

// cancel answers DELETE /stage/:staging_guid with 204. Cloud Controller never calls
// it; it is for operators.
func (h *stageHandler) cancel(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	guid := params.ByName(stagingParameter)
	err := h.builds.CancelStaging(r.Context(), guid)
	if errors.Is(err, opi.ErrNotFound) {
		respond(w, http.StatusNotFound, errorMessage{Message: fmt.Sprintf("there is no build %q", guid)})
		return
	}
	if err != nil {
		h.fail(w, "cancel the build", "cancel-staging", guid, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// completed answers PUT /stage/:staging_guid/completed, by which builders of the
// predecessor reported. Nobody may say for a build how it ended.
func (h *stageHandler) completed(w http.ResponseWriter, _ *http.Request, _ httprouter.Params) {
	respond(w, http.StatusGone, errorMessage{Message: "builds don't report here; their end is seen in Kubernetes"})
}

func (h *stageHandler) fail(w http.ResponseWriter, doing, action, guid string, err error) {
	code := status(err)
	logFailure(h.logger, action, lager.Data{stagingParameter: guid}, code, err)
	respond(w, code, errorMessage{Message: userMessage(doing, err)})
}
