package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// recordFields are the parts of a record that this release knows, and those that a
// later one may have added.
func recordFields(text string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return nil, fmt.Errorf("decode LRP record: %w", err)
	}
	if version := string(fields["version"]); version != fmt.Sprint(recordVersion) {
		return nil, fmt.Errorf("decode LRP record: version %q is not known to this release", version)
	}
	return fields, nil
}

// MoveRecord returns the text of a stored record for another image; all else stays, byte for
// byte.
func MoveRecord(text string, image AppImage) (string, error) {
	fields, err := recordFields(text)
	if err != nil {
		return "", err
	}
	for name, value := range map[string]string{"stack": image.Stack, "stackRevision": image.Revision} {
		if value == "" {
			continue // not known, as in annotations
		}
		if fields[name], err = json.Marshal(value); err != nil {
			return "", fmt.Errorf("encode LRP record: %w", err)
		}
	}
	changed, err := json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("encode LRP record: %w", err)
	}
	return string(changed), nil
}

// RecordedPIDs returns the bound of processes in the text of a stored record; 0 for none, and
// for a record that can't be read.
func RecordedPIDs(text string) int32 {
	// Most records have no bound, and every change of a StatefulSet gets here.
	if !strings.Contains(text, `"pids"`) {
		return 0
	}
	var recorded struct {
		LRP struct {
			Limits struct {
				PIDs int32 `json:"pids"`
			} `json:"limits"`
		} `json:"lrp"`
	}
	if json.Unmarshal([]byte(text), &recorded) != nil {
		return 0
	}
	return recorded.LRP.Limits.PIDs
}

// RecordedLRP returns the buildpack app that a StatefulSet was made from, as far as its
// image depends on it: without egress rules, which may be in the Secret. The error wraps
// [ErrNoDroplet] for an LRP that runs a docker image.
func RecordedLRP(set *appsv1.StatefulSet) (opi.LRP, error) {
	fields, err := recordFields(set.Annotations[keys.LRP])
	if err != nil {
		return opi.LRP{}, fmt.Errorf("read StatefulSet %s: %w", set.Name, err)
	}
	delete(fields, "egressRulesInSecret")
	text, err := json.Marshal(fields)
	if err != nil {
		return opi.LRP{}, fmt.Errorf("read StatefulSet %s: %w", set.Name, err)
	}
	record, err := decodeRecord(string(text), nil)
	if err != nil {
		return opi.LRP{}, fmt.Errorf("read StatefulSet %s: %w", set.Name, err)
	}
	if record.LRP.Droplet == nil {
		return opi.LRP{}, fmt.Errorf("read StatefulSet %s: %w", set.Name, ErrNoDroplet)
	}
	return record.LRP, nil
}

// ErrNoDroplet is returned for an LRP with an image that Irene does not assemble.
var ErrNoDroplet = errors.New("it runs an image that was not made from a droplet")
