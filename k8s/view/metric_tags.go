package view

import (
	"encoding/json"
	"strings"
	"unique"
)

// tagShape is the text of an LRP's metric tags in which values that the LRP has anyway, such
// as names and guids of its app, space and organization, are replaced by marks. Most LRPs of a
// platform have the same shape, which is then in memory once. The texts themselves would
// double what the view keeps of an LRP. The zero value stands for no tags.
type tagShape struct{ handle unique.Handle[string] }

// tagMark begins a mark, which ends with the value's letter. JSON has no such byte.
const tagMark = "\x01"

// tagValues are the values that are replaced, in an order that never changes while Irene runs.
func (l *LRP) tagValues() [9]string {
	return [...]string{
		l.AppGUID, l.AppName, l.SpaceGUID, l.SpaceName, l.OrganizationGUID, l.OrganizationName,
		l.GUID, l.Version, l.ProcessType,
	}
}

// setMetricTags keeps the text of the LRP's metric tags. The values of tagValues must be set.
func (l *LRP) setMetricTags(text string) {
	l.tags = tagShape{}
	if text = readableTags(text); text == "" {
		return
	}
	for n, value := range l.tagValues() {
		if quoted, err := json.Marshal(value); err == nil && value != "" {
			text = strings.ReplaceAll(text, ":"+string(quoted), tagMark+string(rune('a'+n)))
		}
	}
	l.tags = tagShape{unique.Make(text)}
}

// MetricTags returns the JSON of the annotation [keys.MetricTags]; empty if there is none.
func (l *LRP) MetricTags() string {
	if l.tags == (tagShape{}) {
		return ""
	}
	text := l.tags.handle.Value()
	for n, value := range l.tagValues() {
		if quoted, err := json.Marshal(value); err == nil && value != "" {
			text = strings.ReplaceAll(text, tagMark+string(rune('a'+n)), ":"+string(quoted))
		}
	}
	return text
}
