package opi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MetricTag is the value of a tag of an instance's metrics and log lines: either a text that
// is the same for all instances, or the name of a value that differs.
type MetricTag struct {
	// Text is the value if Dynamic is empty.
	Text    string
	Dynamic DynamicTag
}

// DynamicTag names the property of an instance that a tag has for its value.
type DynamicTag string

// Properties of an instance that tags can have for their values.
const (
	TagIndex        DynamicTag = "index"
	TagInstanceGUID DynamicTag = "instance_guid"
)

// storedMetricTag is the stored form of a tag with a dynamic value.
type storedMetricTag struct {
	Dynamic DynamicTag `json:"dynamic"`
}

// MarshalJSON returns the stored form: a string, or {"dynamic":"…"}.
func (t MetricTag) MarshalJSON() ([]byte, error) {
	if t.Dynamic != "" {
		return json.Marshal(storedMetricTag{t.Dynamic})
	}
	return json.Marshal(t.Text)
}

// UnmarshalJSON reads the stored form.
func (t *MetricTag) UnmarshalJSON(text []byte) error {
	*t = MetricTag{}
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &t.Text)
	}
	var stored storedMetricTag
	if err := json.Unmarshal(text, &stored); err != nil {
		return fmt.Errorf("decode metric tag: %w", err)
	}
	t.Dynamic = stored.Dynamic
	return nil
}

// maxMetricTagBytes bounds all metric tags of an LRP together: they are kept in an
// annotation, and all annotations of an object share 256 KiB.
const maxMetricTagBytes = 32 << 10

func validateMetricTags(tags map[string]MetricTag) error {
	var errs []error
	total := 0
	for _, name := range sortedKeys(tags) {
		tag := tags[name]
		total += len(name) + len(tag.Text)
		switch tag.Dynamic {
		case "", TagIndex, TagInstanceGUID:
		default:
			errs = append(errs, Invalid("metricTags."+abbreviate(name), "%q is not a property of an instance", abbreviate(string(tag.Dynamic))))
		}
		if strings.ContainsRune(tag.Text, 0) {
			errs = append(errs, Invalid("metricTags."+abbreviate(name), "must not contain a NUL byte"))
		}
	}
	if total > maxMetricTagBytes {
		errs = append(errs, Invalid("metricTags", "names and values together have %d bytes, more than %d", total, maxMetricTagBytes))
	}
	return errors.Join(errs...)
}
