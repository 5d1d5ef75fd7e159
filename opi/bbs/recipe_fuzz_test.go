package bbs

import (
	"encoding/json"
	"testing"

	"code.cloudfoundry.org/bbs/models"
)

// A message that can be decoded is converted or refused, and what is converted has an answer
// from the domain's rules.

func FuzzDesiredLRP(f *testing.F) {
	for _, number := range []string{"01", "02", "03", "04", "05", "06", "07"} {
		f.Add(exampleBody(f, number))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var request models.DesireLRPRequest
		if request.Unmarshal(body) != nil || request.DesiredLrp == nil {
			return
		}
		lrp, err := desiredLRP(request.DesiredLrp)
		if err != nil {
			if errorText(err) == "" {
				t.Fatalf("an error that names no field: %v", err)
			}
			return
		}
		if !json.Valid([]byte(lrp.OriginalRequest)) {
			t.Fatalf("the request for people is no JSON: %q", lrp.OriginalRequest)
		}
		lrp, _ = lrp.Normalize()
		_ = lrp.Validate()
	})
}

func FuzzTask(f *testing.F) {
	fuzzTaskDefinitions(f, []string{"30", "31", "32", "33"}, func(wire *models.TaskDefinition, guid, domain string) error {
		found, err := task(wire, guid, domain)
		if err == nil {
			found, _ = found.Normalize()
			_ = found.Validate()
		}
		return err
	})
}

func FuzzBuild(f *testing.F) {
	fuzzTaskDefinitions(f, []string{"20", "21", "22", "23"}, func(wire *models.TaskDefinition, guid, _ string) error {
		found, err := build(wire, guid)
		if err == nil {
			found, _ = found.Normalize()
			_ = found.Validate()
		}
		return err
	})
}

func fuzzTaskDefinitions(f *testing.F, numbers []string, convert func(wire *models.TaskDefinition, guid, domain string) error) {
	for _, number := range numbers {
		f.Add(exampleBody(f, number))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var request models.DesireTaskRequest
		if request.Unmarshal(body) != nil || request.TaskDefinition == nil {
			return
		}
		if err := convert(request.TaskDefinition, request.TaskGuid, request.Domain); err != nil && errorText(err) == "" {
			t.Fatalf("an error that names no field: %v", err)
		}
	})
}
