package api_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// What Cloud Controller gets is pinned to the byte: releases that are rolled back to, or
// taken over from, send the same.
func TestOutcomesForCloudController(t *testing.T) {
	g := NewWithT(t)
	built, err := opi.BuildSucceeded("b", []byte("{\"lifecycle_type\": \"buildpack\", \"process_types\": {\"web\": \"a && b <c> 'é'\"}}\n"))
	g.Expect(err).NotTo(HaveOccurred())
	for body, outcome := range map[string]*opi.Outcome{
		`{"result":{"lifecycle_type":"buildpack","process_types":{"web":"a && b <c> 'é'"}}}`: built,
		`{"error":{"id":"StagingError","message":"a && b <c>\n\"quoted\" 'é'"}}`:             opi.BuildFailed("b", "memory", opi.StagingError, "a && b <c>\n\"quoted\" 'é'"),
		`{"task_guid":"t","failed":false,"failure_reason":""}`:                               opi.TaskSucceeded("t"),
		`{"task_guid":"t","failed":true,"failure_reason":"Exited with status 3 & more"}`:     opi.TaskFailed("t", "exit", "Exited with status 3 & more"),
	} {
		encoded, err := api.Encoder{}.EncodeOutcome(*outcome)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(encoded)).To(Equal(body))
	}
	_, err = api.Encoder{}.EncodeOutcome(opi.Outcome{Work: "LRP"})
	g.Expect(err).To(HaveOccurred())
}

func TestReportsForCloudController(t *testing.T) {
	g := NewWithT(t)
	report := opi.InstanceReport{LRPIdentifier: opi.LRPIdentifier{GUID: "g", Version: "v/w"}, Index: 1, GUID: "i", Cell: "node"}
	encode := func(kind opi.ReportKind, change func(*opi.InstanceReport)) string {
		changed := report
		changed.Kind = kind
		change(&changed)
		path, body, err := api.Encoder{}.EncodeReport(changed)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(path).To(Equal("/internal/v4/apps/g-v%2Fw/" + string(kind)))
		return string(body)
	}
	g.Expect(encode(opi.ReportCrashed, func(r *opi.InstanceReport) {
		r.CrashCount, r.Crash = 2, opi.Crash{ExitStatus: new(int32(0)), Description: "exited with status 0", At: time.Unix(7, 0)}
	})).To(Equal(`{"instance":"i","index":1,"cell_id":"node","reason":"CRASHED","exit_status":0,"exit_description":"exited with status 0","crash_count":2,"crash_timestamp":7000000000}`))
	g.Expect(encode(opi.ReportCrashed, func(r *opi.InstanceReport) { r.CrashCount, r.Crash.Description = 1, "details unknown" })).
		To(Equal(`{"instance":"i","index":1,"cell_id":"node","reason":"CRASHED","exit_description":"details unknown","crash_count":1}`))
	g.Expect(encode(opi.ReportRescheduling, func(r *opi.InstanceReport) { r.Reason = "the cell is drained" })).
		To(Equal(`{"instance":"i","index":1,"cell_id":"node","reason":"the cell is drained"}`))
	g.Expect(encode(opi.ReportReadinessChanged, func(*opi.InstanceReport) {})).To(Equal(`{"instance":"i","index":1,"cell_id":"node","ready":false}`))

	_, _, err := api.Encoder{}.EncodeReport(report)
	g.Expect(err).To(HaveOccurred())
}
