package render

import (
	"fmt"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// fullWork has a value in every field that a record keeps.
func fullWork() WorkRecord {
	return WorkRecord{
		MetricTags: map[string]opi.MetricTag{"app_name": {Text: "app"}, "instance_id": {Dynamic: opi.TagIndex}},
		EgressRules: []opi.EgressRule{{
			Protocol: "icmp", Destinations: []string{"0.0.0.0/0"}, ICMP: &opi.ICMP{Type: 8, Code: -1}, Log: true, Annotations: []string{"x"},
		}, {
			Protocol: "tcp", Destinations: []string{"10.0.0.1-10.0.0.9"}, PortRange: &opi.PortRange{Start: 1, End: 2},
		}},
		OrganizationalUnits: []string{"app:a"},
		Limits:              opi.Limits{FileDescriptors: 4, PIDs: 5, LogBytesPerSecond: new(int64(0))},
	}
}

func encodedWork(t *testing.T, record WorkRecord, others map[string]string, data map[string][]byte) map[string]string {
	t.Helper()
	tags, text, err := record.Encode(others, data)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return map[string]string{keys.MetricTags: tags, keys.WorkRecord: text}
}

// A record that any release has ever written must stay readable. The file is what version 1
// wrote; it must not change.
func TestWorkRecordVersion1StaysReadable(t *testing.T) {
	g := NewWithT(t)
	text, err := os.ReadFile("testdata/work-record-v1.json")
	g.Expect(err).NotTo(HaveOccurred())
	wanted := fullWork()
	wanted.MetricTags = nil
	g.Expect(DecodeWorkRecord(map[string]string{keys.WorkRecord: string(text)}, nil)).To(Equal(wanted))
}

func TestWorkRecordIsReadAsItWasWritten(t *testing.T) {
	g := NewWithT(t)
	data := map[string][]byte{}
	annotations := encodedWork(t, fullWork(), nil, data)
	g.Expect(annotations[keys.MetricTags]).To(MatchJSON(`{"app_name":"app","instance_id":{"dynamic":"index"}}`))
	g.Expect(data).To(BeEmpty())
	g.Expect(DecodeWorkRecord(annotations, data)).To(Equal(fullWork()))

	g.Expect(encodedWork(t, WorkRecord{}, nil, data)).To(HaveEach(""), "there is nothing to keep")
	g.Expect(DecodeWorkRecord(nil, nil)).To(Equal(WorkRecord{}))
}

func TestRecordsOfTasksAndBuildsHoldWhatTheirPodsLack(t *testing.T) {
	g := NewWithT(t)
	full := fullWork()
	limits := full.Limits
	limits.MemoryMiB, limits.DiskMiB, limits.CPUWeight = 1, 2, 3
	g.Expect(TaskRecord(opi.Task{
		MetricTags: full.MetricTags, EgressRules: full.EgressRules, OrganizationalUnits: full.OrganizationalUnits, Limits: limits,
	})).To(Equal(full))
	g.Expect(BuildRecord(opi.Build{
		MetricTags: full.MetricTags, EgressRules: full.EgressRules, OrganizationalUnits: full.OrganizationalUnits, Limits: limits,
	})).To(Equal(full))
	g.Expect(TaskRecord(opi.Task{Limits: opi.Limits{MemoryMiB: 1, CPUWeight: 3}})).To(Equal(WorkRecord{}))
}

func TestEgressRulesOfWorkThatDoNotFitMoveIntoTheSecret(t *testing.T) {
	g := NewWithT(t)
	record := fullWork()
	record.EgressRules = nil
	for i := range 3000 {
		record.EgressRules = append(record.EgressRules, opi.EgressRule{Protocol: "all", Destinations: []string{fmt.Sprintf("10.0.%d.%d", i/256, i%256)}})
	}
	data := map[string][]byte{}
	annotations := encodedWork(t, record, nil, data)
	g.Expect(annotationBytes(annotations)).To(BeNumerically("<", 1000))
	g.Expect(data).To(HaveKey(secretKeyEgressRules))
	g.Expect(DecodeWorkRecord(annotations, data)).To(Equal(record))

	without, err := DecodeWorkRecord(annotations, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(without.EgressRules).To(BeEmpty())
	g.Expect(without.Limits).To(Equal(record.Limits))
	_, err = DecodeWorkRecord(annotations, map[string][]byte{})
	g.Expect(err).To(MatchError(ContainSubstring("egress rules")))

	data = map[string][]byte{}
	encodedWork(t, fullWork(), map[string]string{"other": strings.Repeat("x", maxLastingBytes-350)}, data)
	g.Expect(data).To(HaveKey(secretKeyEgressRules), "the other annotations count")
}

func TestWorkRecordThatDoesNotFit(t *testing.T) {
	g := NewWithT(t)
	others := map[string]string{"other": strings.Repeat("x", maxLastingBytes)}
	_, _, err := fullWork().Encode(others, map[string][]byte{})
	g.Expect(opi.FieldErrors(err)).To(HaveLen(1))
	g.Expect(err).To(MatchError(HavePrefix("metricTags: ")))
	_, _, err = WorkRecord{}.Encode(others, nil)
	g.Expect(err).NotTo(HaveOccurred(), "nothing is added to what there is")
}

func TestWorkRecordThatCanNotBeRead(t *testing.T) {
	g := NewWithT(t)
	record, err := DecodeWorkRecord(map[string]string{keys.MetricTags: `{"a":"b"}`, keys.WorkRecord: `{"version":2}`}, nil)
	g.Expect(err).To(MatchError(ContainSubstring("version 2 is not known")))
	g.Expect(record).To(Equal(WorkRecord{MetricTags: map[string]opi.MetricTag{"a": {Text: "b"}}}))
	record, err = DecodeWorkRecord(map[string]string{keys.MetricTags: `edited`, keys.WorkRecord: `{"version":1,"limits":{"pids":5}}`}, nil)
	g.Expect(err).To(MatchError(ContainSubstring(keys.MetricTags)))
	g.Expect(record.Limits.PIDs).To(BeEquivalentTo(5))
}
