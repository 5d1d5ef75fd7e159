package render

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/irene-cf/irene/opi"
)

// recordVersion is the version of the stored form of an LRP. Records of all
// versions ever released stay readable, since LRPs outlive releases.
const recordVersion = 1

// lrpRecord is what Irene keeps of an LRP to make its objects again: the LRP without the
// environment of its processes and the content of its files (which are in the template and
// the Secret), and without what
// updates change (which stands in annotations and replicas of its own).
type lrpRecord struct {
	Version int     `json:"version"`
	LRP     opi.LRP `json:"lrp"`
	// Stack and StackRevision are what the droplet's image is built on.
	Stack         string `json:"stack,omitempty"`
	StackRevision string `json:"stackRevision,omitempty"`
	// EgressRulesInSecret says that the LRP's Secret has the egress rules,
	// compressed, because the annotations would have become too large.
	EgressRulesInSecret bool `json:"egressRulesInSecret,omitempty"`
}

// Keys in the Secret of an LRP, and the second one in that of a task or build, for what does not fit into annotations.
const (
	secretKeyRequest     = "original-request.gz"
	secretKeyEgressRules = "egress-rules.gz"
	// secretKeySSHRoute holds [opi.LRP.SSHRoute].
	secretKeySSHRoute = "ssh-route"
)

// maxRecordBytes bounds what is unpacked from a Secret.
const maxRecordBytes = 16 << 20

func newRecord(lrp opi.LRP, image AppImage) lrpRecord {
	lrp.Environment = nil
	lrp.Instances = 0
	lrp.Routes = opi.Routes{}
	lrp.Annotation = ""
	lrp.MetricTags = nil
	lrp.Processes = slices.Clone(lrp.Processes)
	for i := range lrp.Processes {
		lrp.Processes[i].Environment = nil
	}
	lrp.Files = slices.Clone(lrp.Files)
	for i := range lrp.Files {
		lrp.Files[i].Content = nil
	}
	return lrpRecord{Version: recordVersion, LRP: lrp, Stack: image.Stack, StackRevision: image.Revision}
}

// encode returns the annotation's text.
func (r lrpRecord) encode() (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode LRP record: %w", err)
	}
	return string(text), nil
}

// decodeRecord reads an annotation's text; data is the LRP's Secret's, needed only
// when the record says so.
func decodeRecord(text string, data map[string][]byte) (lrpRecord, error) {
	var r lrpRecord
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return lrpRecord{}, fmt.Errorf("decode LRP record: %w", err)
	}
	if r.Version != recordVersion {
		return lrpRecord{}, fmt.Errorf("decode LRP record: version %d is not known to this release", r.Version)
	}
	if r.EgressRulesInSecret {
		rules, err := unpackEgressRules(data)
		if err != nil {
			return lrpRecord{}, fmt.Errorf("decode LRP record: %w", err)
		}
		r.LRP.EgressRules = rules
	}
	return r, nil
}

// packEgressRules puts egress rules, compressed, into data, the content of a Secret.
func packEgressRules(rules []opi.EgressRule, data map[string][]byte) error {
	text, err := json.Marshal(rules)
	if err != nil {
		return fmt.Errorf("encode egress rules: %w", err)
	}
	data[secretKeyEgressRules], err = compress(text)
	return err
}

// unpackEgressRules is the reverse of packEgressRules.
func unpackEgressRules(data map[string][]byte) ([]opi.EgressRule, error) {
	text, err := decompress(data[secretKeyEgressRules])
	if err != nil {
		return nil, fmt.Errorf("decode egress rules: %w", err)
	}
	var rules []opi.EgressRule
	if err := json.Unmarshal(text, &rules); err != nil {
		return nil, fmt.Errorf("decode egress rules: %w", err)
	}
	return rules, nil
}

func compress(content []byte) ([]byte, error) {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, err := writer.Write(content)
	if err := errors.Join(err, writer.Close()); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return buffer.Bytes(), nil
}

func decompress(content []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(reader, maxRecordBytes))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return plain, nil
}
