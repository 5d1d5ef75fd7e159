package render

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// workRecordVersion is the version of the stored form of a [WorkRecord]. Jobs live for hours at
// most, but the release that reads a record may be another one than wrote it.
const workRecordVersion = 1

// WorkRecord holds the parts of a task or build that Irene keeps and does not act on.
type WorkRecord struct {
	// MetricTags are stored in an annotation of their own, like those of an LRP.
	MetricTags          map[string]opi.MetricTag
	EgressRules         []opi.EgressRule
	OrganizationalUnits []string
	// Limits hold FileDescriptors, PIDs and LogBytesPerSecond. A Job's pod has the others.
	Limits opi.Limits
}

// storedWorkRecord is the text of [keys.WorkRecord].
type storedWorkRecord struct {
	Version             int              `json:"version"`
	Limits              opi.Limits       `json:"limits,omitzero"`
	EgressRules         []opi.EgressRule `json:"egressRules,omitempty"`
	OrganizationalUnits []string         `json:"organizationalUnits,omitempty"`
	// EgressRulesInSecret reports whether the work's Secret holds the egress rules,
	// compressed, because the annotations would have become too large.
	EgressRulesInSecret bool `json:"egressRulesInSecret,omitempty"`
}

// TaskRecord returns the record of a task.
func TaskRecord(task opi.Task) WorkRecord {
	return WorkRecord{
		MetricTags: task.MetricTags, EgressRules: task.EgressRules, OrganizationalUnits: task.OrganizationalUnits,
		Limits: unenforced(task.Limits),
	}
}

// BuildRecord returns the record of a build.
func BuildRecord(build opi.Build) WorkRecord {
	return WorkRecord{
		MetricTags: build.MetricTags, EgressRules: build.EgressRules, OrganizationalUnits: build.OrganizationalUnits,
		Limits: unenforced(build.Limits),
	}
}

// unenforced returns the limits that a pod can't have.
func unenforced(limits opi.Limits) opi.Limits {
	return opi.Limits{
		FileDescriptors: limits.FileDescriptors, PIDs: limits.PIDs, LogBytesPerSecond: limits.LogBytesPerSecond,
	}
}

// Encode returns the texts of the annotations [keys.MetricTags] and [keys.WorkRecord], empty if
// there is nothing to keep. Together with the other annotations of the Job they have at most as
// many bytes as those of an LRP that updates don't change: egress rules beyond that move
// compressed into data, the content of the work's Secret. The error is an *opi.FieldError if
// the rest is too large.
func (r WorkRecord) Encode(others map[string]string, data map[string][]byte) (tags, record string, err error) {
	if tags, err = encodeMetricTags(r.MetricTags); err != nil {
		return "", "", err
	}
	stored := storedWorkRecord{
		Limits: r.Limits, EgressRules: r.EgressRules, OrganizationalUnits: r.OrganizationalUnits,
	}
	if record, err = stored.encode(); err != nil {
		return "", "", err
	}
	used := annotationBytes(others) + len(keys.MetricTags) + len(tags) + len(keys.WorkRecord)
	if used+len(record) > maxLastingBytes && len(r.EgressRules) > 0 {
		if err := packEgressRules(r.EgressRules, data); err != nil {
			return "", "", err
		}
		stored.EgressRules, stored.EgressRulesInSecret = nil, true
		if record, err = stored.encode(); err != nil {
			return "", "", err
		}
	}
	if (tags != "" || record != "") && used+len(record) > maxLastingBytes {
		return "", "", opi.Invalid("metricTags", "names, annotation, metric tags and organizational units have more than %d bytes together", maxLastingBytes)
	}
	return tags, record, nil
}

// encode returns the annotation's text, empty for a record of nothing.
func (r storedWorkRecord) encode() (string, error) {
	if r.Limits == (opi.Limits{}) && len(r.EgressRules) == 0 && len(r.OrganizationalUnits) == 0 && !r.EgressRulesInSecret {
		return "", nil
	}
	r.Version = workRecordVersion
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode annotation %s: %w", keys.WorkRecord, err)
	}
	return string(text), nil
}

// DecodeWorkRecord returns the record in a Job's annotations. Egress rules that did not fit
// there are read from data, the content of the work's Secret; nil leaves them out. What can be
// read is returned with the error.
func DecodeWorkRecord(annotations map[string]string, data map[string][]byte) (WorkRecord, error) {
	tags, tagsErr := DecodeMetricTags(annotations[keys.MetricTags])
	stored, err := decodeWorkRecord(annotations[keys.WorkRecord], data)
	if err != nil {
		err = fmt.Errorf("decode annotation %s: %w", keys.WorkRecord, err)
	}
	return WorkRecord{
		MetricTags: tags, EgressRules: stored.EgressRules, OrganizationalUnits: stored.OrganizationalUnits, Limits: stored.Limits,
	}, errors.Join(tagsErr, err)
}

func decodeWorkRecord(text string, data map[string][]byte) (storedWorkRecord, error) {
	if text == "" {
		return storedWorkRecord{}, nil
	}
	var stored storedWorkRecord
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return storedWorkRecord{}, err
	}
	if stored.Version != workRecordVersion {
		return storedWorkRecord{}, fmt.Errorf("version %d is not known to this release", stored.Version)
	}
	if !stored.EgressRulesInSecret || data == nil {
		return stored, nil
	}
	var err error
	stored.EgressRules, err = unpackEgressRules(data)
	return stored, err
}
