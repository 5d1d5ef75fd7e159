package opi_test

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// The form outlives releases: LRPs do.
func TestStoredFormOfMetricTags(t *testing.T) {
	g := NewWithT(t)
	tags := map[string]opi.MetricTag{
		"app_name": {Text: `do"ra`}, "empty": {}, "instance_id": {Dynamic: opi.TagIndex}, "process_instance_id": {Dynamic: opi.TagInstanceGUID},
	}
	const text = `{"app_name":"do\"ra","empty":"","instance_id":{"dynamic":"index"},"process_instance_id":{"dynamic":"instance_guid"}}`
	g.Expect(json.Marshal(tags)).To(BeEquivalentTo(text))
	var read map[string]opi.MetricTag
	g.Expect(json.Unmarshal([]byte(text), &read)).To(Succeed())
	g.Expect(read).To(Equal(tags))
	g.Expect(json.Unmarshal([]byte(`{"a":1}`), &read)).NotTo(Succeed())
}

func TestMetricTagsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		tags  map[string]opi.MetricTag
		field string
	}{
		"property": {map[string]opi.MetricTag{"a": {Dynamic: "zone"}}, "metricTags.a"},
		"NUL":      {map[string]opi.MetricTag{"a": {Text: "\x00"}}, "metricTags.a"},
		"too long": {map[string]opi.MetricTag{"a": {Text: strings.Repeat("x", 33<<10)}}, "metricTags"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lrp := valid()
			lrp.MetricTags = c.tags
			g.Expect(fieldsOf(lrp.Validate())).To(Equal([]string{c.field}))
			g.Expect(fieldsOf(opi.LRPUpdate{MetricTags: &c.tags}.Validate())).To(Equal([]string{c.field}))
		})
	}
}

func TestFilesAreChecked(t *testing.T) {
	file := func(path string) []opi.File { return []opi.File{{Path: path}} }
	for name, c := range map[string]struct {
		files  []opi.File
		fields []string
	}{
		"nested":     {file("db/host"), nil},
		"dots":       {file("..data"), []string{"files[0].path"}},
		"one dot":    {file(".pgpass"), nil},
		"empty":      {file(""), []string{"files[0].path"}},
		"absolute":   {file("/etc/passwd"), []string{"files[0].path"}},
		"upwards":    {file("../x"), []string{"files[0].path"}},
		"unclean":    {file("a//b"), []string{"files[0].path"}},
		"within":     {file("a/../../b"), []string{"files[0].path"}},
		"twice":      {[]opi.File{{Path: "a"}, {Path: "a"}}, []string{"files[1].path"}},
		"too large":  {[]opi.File{{Path: "a", Content: make([]byte, opi.MaxFilesBytes)}}, []string{"files"}},
		"just right": {[]opi.File{{Path: "a", Content: make([]byte, opi.MaxFilesBytes-1)}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lrp := valid()
			lrp.Files = c.files
			NewWithT(t).Expect(fieldsOf(lrp.Validate())).To(Equal(c.fields))
		})
	}
}
