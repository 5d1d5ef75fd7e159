package bbs_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

const desirePath = "/v1/desired_lrp/desire.r2"

func TestDesireAsInTheExamples(t *testing.T) {
	for _, name := range []string{
		"01-desire-lrp-buildpack", "02-desire-lrp-buildpack-plain", "03-desire-lrp-worker", "04-desire-lrp-docker",
		"06-desire-lrp-binding-files", "07-desire-lrp-binding-files-k8s",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			p := newPlatform()
			d := newDoor(p)
			var wanted models.DesireLRPRequest
			g.Expect(wanted.Unmarshal(example(g, name))).To(Succeed())
			d.refusals.Keep(wanted.DesiredLrp.ProcessGuid, opi.Refusal{Reason: "no such stack"})
			answer := d.send(desirePath, example(g, name))
			g.Expect(answer.Body.Bytes()).To(Equal(example(g, "48-lifecycle-response-ok")))
			g.Expect(p.desired).To(HaveLen(1))
			g.Expect(p.desired[0].Door).To(Equal(opi.DoorBBS))
			g.Expect(d.refusals.Instances(wanted.DesiredLrp.ProcessGuid)).To(BeEmpty())

			// What was desired comes back.
			var got models.DesiredLRPResponse
			d.post(g, "/v1/desired_lrps/get_by_process_guid.r3", &models.DesiredLRPByProcessGuidRequest{ProcessGuid: wanted.DesiredLrp.ProcessGuid}, &got)
			g.Expect(got.DesiredLrp.Domain).To(Equal("cf-apps"))
			g.Expect(got.DesiredLrp.Instances).To(Equal(wanted.DesiredLrp.Instances))
			g.Expect(got.DesiredLrp.Annotation).To(Equal(wanted.DesiredLrp.Annotation))
			g.Expect(got.DesiredLrp.RootFs).To(Equal(wanted.DesiredLrp.RootFs))
			g.Expect(got.DesiredLrp.LogGuid).To(Equal(wanted.DesiredLrp.LogGuid))
			g.Expect(got.DesiredLrp.PlacementTags).To(Equal(wanted.DesiredLrp.PlacementTags))
			expectSame(g, got.DesiredLrp.MetricTags, wanted.DesiredLrp.MetricTags)
			expectSame(g, got.DesiredLrp.Routes, wanted.DesiredLrp.Routes)
		})
	}
}

func TestRefusalsOfDesireAreShown(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform()
	d := newDoor(p)
	var request models.DesireLRPRequest
	g.Expect(request.Unmarshal(example(g, "01-desire-lrp-buildpack"))).To(Succeed())
	request.DesiredLrp.Instances = 2
	shown := func() []opi.Instance { return d.refusals.Instances(processGUID) }

	request.DesiredLrp.Privileged = true
	fault := errorOf(g, d.sendMessage(g, desirePath, &request))
	g.Expect(fault.GetType()).To(Equal(models.Error_InvalidRequest))
	g.Expect(fault.GetMessage()).To(ContainSubstring("privileged"))
	g.Expect(shown()).To(HaveLen(2))
	g.Expect(shown()[0].State).To(Equal(opi.InstanceCrashed))
	g.Expect(shown()[0].PlacementError).To(Equal(fault.GetMessage()))

	request.DesiredLrp.Privileged, request.DesiredLrp.MemoryMb = false, -1
	g.Expect(errorOf(g, d.sendMessage(g, desirePath, &request)).GetMessage()).To(Equal("Invalid field: memory_mb"))
	g.Expect(shown()[0].PlacementError).To(Equal("Invalid field: memory_mb"), "Diego's own rules, too")
	g.Expect(p.writes).To(BeZero())

	request.DesiredLrp.MemoryMb = 64
	p.err = fmt.Errorf("dial 10.0.0.1: %w", opi.ErrUnavailable)
	g.Expect(d.sendMessage(g, desirePath, &request).Code).To(Equal(http.StatusServiceUnavailable))
	g.Expect(shown()[0].State).To(Equal(opi.InstanceUnclaimed), "it may pass")
	g.Expect(shown()[0].PlacementError).NotTo(ContainSubstring("10.0.0.1"))

	p.err = errors.New("a fault")
	g.Expect(errorOf(g, d.sendMessage(g, desirePath, &request)).GetType()).To(Equal(models.Error_UnknownError))

	p.err = nil
	g.Expect(d.sendMessage(g, desirePath, &request).Body.Len()).To(BeZero())
	g.Expect(shown()).To(BeEmpty())
}

func TestDesireNestedDeeply(t *testing.T) {
	g := NewWithT(t)
	action := &models.Action{RunAction: &models.RunAction{Path: "a", User: "b"}}
	for range 200 {
		action = &models.Action{TryAction: &models.TryAction{Action: action}}
	}
	request := &models.DesireLRPRequest{DesiredLrp: &models.DesiredLRP{Action: action}}
	d := newDoor(newPlatform())
	g.Expect(errorOf(g, d.sendMessage(g, desirePath, request))).To(Equal(models.ErrBadRequest))
}

func FuzzDesire(f *testing.F) {
	fuzz(f, desirePath, "01-desire-lrp-buildpack", "02-desire-lrp-buildpack-plain", "04-desire-lrp-docker", "05-desire-lrp-cnb")
}
