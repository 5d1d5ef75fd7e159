package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/julienschmidt/httprouter"

	"github.com/irene-cf/irene/opi"
)

type appsHandler struct {
	lrps     LRPs
	logger   lager.Logger
	refusals *opi.Refusals
}

// desire answers PUT /apps/:process_guid. Cloud Controller ignores the answer and
// repairs by its sync, so a refusal is also kept for /instances to show: under the
// LRP that the path names, since the body may be what is wrong.
func (h *appsHandler) desire(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	processGUID := params.ByName(guidParameter)
	var wire desireRequest
	err := readJSON(r, &wire)
	if err == nil {
		err = h.desireLRP(r, processGUID, wire)
	}
	if err != nil {
		h.refusals.Keep(processGUID, opi.Refusal{
			Reason: userMessage("start the app", err), Lasting: status(err) < http.StatusInternalServerError,
			Instances: int(wire.Instances), At: time.Now(),
		})
		h.fail(w, "start the app", "desire", processGUID, err)
		return
	}
	h.refusals.Forget(processGUID)
	w.WriteHeader(http.StatusAccepted)
}

func (h *appsHandler) desireLRP(r *http.Request, path string, wire desireRequest) error {
	if err := checkPath(path, opi.LRPIdentifier{GUID: wire.GUID, Version: wire.Version}); err != nil {
		return err
	}
	lrp, err := wire.lrp()
	lrp, odd := lrp.Normalize()
	if err := joinFaults(err, lrp.Validate()); err != nil {
		return err
	}
	if err := checkTCPRoutes(lrp.Routes.TCP); err != nil {
		return err
	}
	logOdd(h.logger, "desire", lager.Data{"process_guid": path}, mergeFaults(errors.Join(wire.EgressRules.unreadable...), odd))
	if lrp.OriginalRequest, err = wire.withoutSecrets(); err != nil {
		return err
	}
	return h.lrps.Desire(r.Context(), lrp)
}

// update answers POST /apps/:process_guid; success is exactly 200.
func (h *appsHandler) update(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	var wire updateRequest
	err := readJSON(r, &wire)
	if err == nil {
		err = h.updateLRP(r, params.ByName(guidParameter), wire)
	}
	if err != nil {
		h.fail(w, "change the app", "update", params.ByName(guidParameter), err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (h *appsHandler) updateLRP(r *http.Request, path string, wire updateRequest) error {
	id := opi.LRPIdentifier{GUID: wire.GUID, Version: wire.Version}
	if err := checkPath(path, id); err != nil {
		return err
	}
	update, err := wire.lrpUpdate()
	update = update.Normalize()
	if err := joinFaults(err, update.Validate()); err != nil {
		return err
	}
	if err := checkTCPRoutes(update.Routes.Routes().TCP); err != nil {
		return err
	}
	return h.lrps.Update(r.Context(), id, update)
}

// checkTCPRoutes refuses TCP routes: those that this door's callers send are not served.
func checkTCPRoutes(routes []opi.TCPRoute) error {
	if len(routes) > 0 {
		return opi.Invalid("routes.tcp", "TCP routes are not supported")
	}
	return nil
}

// list answers GET /apps. On failure the body is no JSON: Cloud Controller looks at
// the body alone, and would desire everything again on an empty list. Entries come in no
// order: Cloud Controller looks them up, and sorting 100,000 takes longer than encoding them.
func (h *appsHandler) list(w http.ResponseWriter, r *http.Request, _ httprouter.Params) {
	lrps, err := h.lrps.List(r.Context(), opi.DoorOPI)
	if err != nil {
		h.logger.Error("list-failed", err)
		http.Error(w, logReason(err), status(err))
		return
	}
	respond(w, http.StatusOK, newListResponse(lrps))
}

// get answers GET /apps/:process_guid/:version_guid; Cloud Controller takes 404 for
// "absent" and desires the LRP.
func (h *appsHandler) get(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	id := identifier(params)
	lrp, err := h.lrps.Get(r.Context(), id)
	if err != nil {
		h.fail(w, "look at the app", "get", id.ProcessGUID(), err)
		return
	}
	respond(w, http.StatusOK, newGetResponse(lrp))
}

// instances answers GET …/instances. Cloud Controller takes any text in "error" for
// a failure and retries it for seconds, whatever the status; an LRP that does not
// exist is therefore an empty list, or what was last refused about it.
func (h *appsHandler) instances(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	id := identifier(params)
	instances, err := h.lrps.Instances(r.Context(), id)
	switch {
	case errors.Is(err, opi.ErrNotFound):
		respond(w, http.StatusOK, newInstancesResponse(id, h.refusals.Instances(id.ProcessGUID())))
	case err != nil:
		h.logger.Error("instances-failed", err, lager.Data{"process_guid": id.ProcessGUID()})
		respond(w, status(err), instancesResponse{ProcessGUID: id.ProcessGUID(), Error: userMessage("look at the app's instances", err), Instances: []instanceResponse{}})
	default:
		respond(w, http.StatusOK, newInstancesResponse(id, instances))
	}
}

// stop answers PUT …/stop; an LRP that does not exist is stopped already.
func (h *appsHandler) stop(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	id := identifier(params)
	if err := h.lrps.Stop(r.Context(), id); err != nil {
		h.fail(w, "stop the app", "stop", id.ProcessGUID(), err)
		return
	}
	h.refusals.Forget(id.ProcessGUID())
	w.WriteHeader(http.StatusOK)
}

func (h *appsHandler) stopInstance(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
	id := identifier(params)
	index, err := strconv.ParseUint(params.ByName(indexParameter), 10, 31)
	if err != nil {
		h.fail(w, "stop the instance", "stop-instance", id.ProcessGUID(), malformed("index", fmt.Sprintf("%q is not a number of 0 or more", params.ByName(indexParameter))))
		return
	}
	err = h.lrps.StopInstance(r.Context(), id, int(index))
	if len(opi.FieldErrors(err)) > 0 {
		// An index that is not desired is as wrong as one that is no number.
		err = &malformedError{fields: opi.FieldErrors(err)}
	}
	if err != nil {
		h.fail(w, "stop the instance", "stop-instance", id.ProcessGUID(), err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// fail logs err and answers it; doing names what the caller wanted, for userMessage.
func (h *appsHandler) fail(w http.ResponseWriter, doing, action, processGUID string, err error) {
	code := status(err)
	logFailure(h.logger, action, lager.Data{"process_guid": processGUID}, code, err)
	respondError(w, code, userMessage(doing, err))
}

// logFailure tells faults of the platform from refusals.
func logFailure(logger lager.Logger, action string, data lager.Data, code int, err error) {
	data["status"] = code
	if code >= http.StatusInternalServerError {
		logger.Error(action+"-failed", err, data)
		return
	}
	data["reason"] = logReason(err)
	logger.Info(action+"-refused", data)
}

func identifier(params httprouter.Params) opi.LRPIdentifier {
	return opi.LRPIdentifier{GUID: params.ByName(guidParameter), Version: params.ByName(versionParameter)}
}

// checkPath makes sure that path and body speak of the same LRP.
func checkPath(path string, id opi.LRPIdentifier) error {
	switch {
	case id.GUID == "":
		return malformed("guid", "is missing")
	case id.Version == "":
		return malformed("version", "is missing")
	case path != id.ProcessGUID():
		return malformed("process_guid", fmt.Sprintf("the path names %q, guid and version in the body %q", path, id.ProcessGUID()))
	}
	return nil
}
