package events

import (
	"encoding/json"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// storedOutcome is the JSON of annotation keys.Outcome.
//
// Releases without doors wrote Body and Reason alone, and send Body as it is. Such Jobs are
// read for ever. What this release writes they can send as well, so that an operator can go
// back by one version.
type storedOutcome struct {
	// Body is the outcome in the form of the OPI door. It is absent for other doors.
	Body   json.RawMessage `json:"body,omitempty"`
	Reason string          `json:"reason"`
	// Outcome is absent where a release without doors has decided. Its Result is omitted
	// where Body has it, because an annotation has no room for two.
	Outcome *opi.Outcome `json:"outcome,omitempty"`
}

// jobDoor returns the door by which a Job was asked for.
func jobDoor(job *batchv1.Job) opi.Door { return opi.Door(job.Annotations[keys.Door]) }

// encodeOutcome returns what is written on a Job about its outcome, for which the work was
// put on record when the Job was made.
func (r *run) encodeOutcome(job *batchv1.Job, outcome opi.Outcome) ([]byte, error) {
	outcome.Requested = job.CreationTimestamp.UTC()
	if err := outcome.Validate(); err != nil {
		return nil, err
	}
	stored := storedOutcome{Reason: outcome.Reason, Outcome: &outcome}
	if jobDoor(job) == opi.DoorOPI {
		body, err := r.doors.encoder(opi.DoorOPI).EncodeOutcome(outcome)
		if err != nil {
			return nil, err
		}
		stored.Body, outcome.Result = body, nil
	}
	text, err := opi.EncodeJSON(stored)
	if err != nil {
		return nil, fmt.Errorf("encode the outcome: %w", err)
	}
	return text, nil
}

// readOutcome reads the outcome of a Job that has one.
func readOutcome(job *batchv1.Job) (storedOutcome, error) {
	var stored storedOutcome
	err := json.Unmarshal([]byte(job.Annotations[keys.Outcome]), &stored)
	if err == nil && stored.Outcome != nil && stored.Outcome.Result == nil && stored.Body != nil {
		var body struct {
			Result json.RawMessage `json:"result"`
		}
		err = json.Unmarshal(stored.Body, &body)
		stored.Outcome.Result = body.Result
	}
	if err != nil {
		return storedOutcome{}, fmt.Errorf("read annotation %s, which somebody must have changed: %w", keys.Outcome, err)
	}
	return stored, nil
}

// body returns what is posted to the callback of a Job.
func (r *run) body(job *batchv1.Job, stored storedOutcome) ([]byte, error) {
	if stored.Outcome == nil {
		return stored.Body, nil
	}
	return r.doors.encoder(jobDoor(job)).EncodeOutcome(*stored.Outcome)
}
