package api

import (
	"encoding/json"
	"net/http"

	"github.com/irene-cf/irene/opi"
)

// listResponse is the answer to GET /apps (contract 4.3): the annotation stands at
// the top of each entry.
type listResponse struct {
	Infos []schedulingInfo `json:"desired_lrp_scheduling_infos"`
}

type schedulingInfo struct {
	Key        lrpKey `json:"desired_lrp_key"`
	GUID       string `json:"guid"`
	Version    string `json:"version"`
	Annotation string `json:"annotation"`
}

type lrpKey struct {
	ProcessGUID string `json:"process_guid"`
}

func newListResponse(lrps []opi.DesiredLRP) listResponse {
	infos := make([]schedulingInfo, 0, len(lrps))
	for _, lrp := range lrps {
		infos = append(infos, schedulingInfo{
			Key:  lrpKey{ProcessGUID: lrp.ProcessGUID()},
			GUID: lrp.GUID, Version: lrp.Version, Annotation: lrp.Annotation,
		})
	}
	return listResponse{Infos: infos}
}

// getResponse is the answer to GET /apps/:process_guid/:version_guid.
type getResponse struct {
	DesiredLRP desiredLRP `json:"desired_lrp"`
}

type desiredLRP struct {
	ProcessGUID string     `json:"process_guid"`
	Instances   int        `json:"instances"`
	Annotation  string     `json:"annotation"`
	Routes      wireRoutes `json:"routes"`
}

func newGetResponse(lrp opi.DesiredLRP) getResponse {
	return getResponse{DesiredLRP: desiredLRP{
		ProcessGUID: lrp.ProcessGUID(),
		Instances:   lrp.Instances,
		Annotation:  lrp.Annotation,
		Routes:      newRoutes(lrp.Routes),
	}}
}

// instancesResponse is the answer to GET …/instances (contract 4.1).
type instancesResponse struct {
	Error       string             `json:"error,omitempty"`
	ProcessGUID string             `json:"process_guid"`
	Instances   []instanceResponse `json:"instances"`
}

type instanceResponse struct {
	Index int `json:"index"`
	// Since is in nanoseconds since 1970 and always a number.
	Since          int64             `json:"since"`
	State          opi.InstanceState `json:"state"`
	PlacementError string            `json:"placement_error"`
}

func newInstancesResponse(id opi.LRPIdentifier, instances []opi.Instance) instancesResponse {
	response := instancesResponse{ProcessGUID: id.ProcessGUID(), Instances: make([]instanceResponse, 0, len(instances))}
	for _, instance := range instances {
		response.Instances = append(response.Instances, instanceResponse{
			Index:          instance.Index,
			Since:          instance.Since.UnixNano(),
			State:          instance.State,
			PlacementError: instance.PlacementError,
		})
	}
	return response
}

// errorResponse is the body of failures in the form that Cloud Controller reads
// (contract 1.5).
type errorResponse struct {
	Error errorMessage `json:"error"`
}

type errorMessage struct {
	Message string `json:"message"`
}

func respondError(w http.ResponseWriter, code int, message string) {
	respond(w, code, errorResponse{Error: errorMessage{Message: message}})
}

func respond(w http.ResponseWriter, code int, body any) {
	content, err := json.Marshal(body)
	if err != nil { // our own structs always marshal
		http.Error(w, "encode answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// A client that has gone away is no error of ours.
	_, _ = w.Write(append(content, '\n'))
}
