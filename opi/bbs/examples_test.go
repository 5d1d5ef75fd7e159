package bbs_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// A message whose routes are decoded, so that the order of members does not count.
func readable(g Gomega, m any) any {
	text, err := json.Marshal(m)
	g.ExpectWithOffset(2, err).NotTo(HaveOccurred())
	var decoded any
	g.ExpectWithOffset(2, json.Unmarshal(text, &decoded)).To(Succeed())
	return decoded
}

func expectSame(g Gomega, got, wanted any) {
	g.ExpectWithOffset(1, readable(g, got)).To(Equal(readable(g, wanted)))
}

func TestDesiredLRPAsInTheExample(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	p.sshRoutes[opi.ParseProcessGUID(processGUID)] = sshRouteOfExample(g)
	d := newDoor(p)
	var wanted models.DesiredLRPResponse
	g.Expect(wanted.Unmarshal(example(g, "41-desired-lrp-response"))).To(Succeed())
	// Beyond the least that the example has. The SSH server needs no port of its own.
	wanted.DesiredLrp.MemoryMb, wanted.DesiredLrp.DiskMb = 1024, 1024
	wanted.DesiredLrp.ModificationTag = &models.ModificationTag{Epoch: "0f0f0f0f-0000-4000-8000-000000000021", Index: 4}
	wanted.DesiredLrp.Ports = []uint32{8080, 8081, 8082}

	var got models.DesiredLRPResponse
	decode(g, d.send("/v1/desired_lrps/get_by_process_guid.r3", example(g, "14-get-by-process-guid")), &got)
	expectSame(g, got, wanted)

	got = models.DesiredLRPResponse{}
	decode(g, d.send("/v1/desired_lrps/get_by_process_guid.r2", example(g, "14-get-by-process-guid")), &got)
	delete(*wanted.DesiredLrp.Routes, "diego-ssh")
	expectSame(g, got, wanted)
}

func TestDesiredLRPWithoutAnythingHasRoutes(t *testing.T) {
	g := NewWithT(t)
	bare := opi.PresentLRP{DesiredLRP: opi.DesiredLRP{LRPIdentifier: opi.LRPIdentifier{GUID: "bare"}, Door: opi.DoorBBS, Domain: "some-domain"}}
	d := newDoor(newPlatform(bare))
	var got models.DesiredLRPResponse
	d.post(g, "/v1/desired_lrps/get_by_process_guid.r2", &models.DesiredLRPByProcessGuidRequest{ProcessGuid: "bare"}, &got)
	g.Expect(got.DesiredLrp.Routes).NotTo(BeNil(), "Cloud Controller reads a key of it")
	g.Expect(slices.Sorted(maps.Keys(*got.DesiredLrp.Routes))).To(Equal([]string{"cf-router", "internal-router", "tcp-router"}))
	g.Expect(got.DesiredLrp.MetricTags).To(BeEmpty())
}

func TestSchedulingInfosAsInTheExample(t *testing.T) {
	g := NewWithT(t)
	other := dora()
	other.LRPIdentifier, other.Domain = opi.LRPIdentifier{GUID: "other"}, "other-domain"
	foreign := dora()
	foreign.LRPIdentifier, foreign.Door, foreign.Domain = opi.LRPIdentifier{GUID: "foreign"}, opi.DoorOPI, ""
	d := newDoor(newPlatform(dora(), other, foreign))

	var wanted, got models.DesiredLRPSchedulingInfosResponse
	g.Expect(wanted.Unmarshal(example(g, "40-scheduling-infos-response"))).To(Succeed())
	info := wanted.DesiredLrpSchedulingInfos[0]
	delete(info.Routes, "diego-ssh") // it would make the list three times as long, and is secret
	info.VolumePlacement, info.MaxPids = nil, 0

	decode(g, d.send("/v1/desired_lrp_scheduling_infos/list", example(g, "15-list-scheduling-infos")), &got)
	expectSame(g, got, wanted)
}

func TestActualLRPsAsInTheExample(t *testing.T) {
	g := NewWithT(t)
	lrp := dora()
	lrp.Instances = 4
	lrp.States = append(lrp.States, opi.Instance{Index: 3, State: opi.InstanceUnclaimed, Since: exampleSince, PlacementError: "insufficient resources: memory"})
	lrp.MetricTags = map[string]opi.MetricTag{
		"source_id": text(appGUID), "process_id": text(appGUID),
		"instance_id": {Dynamic: opi.TagIndex}, "process_instance_id": {Dynamic: opi.TagInstanceGUID},
	}
	lrp.Ports, lrp.Routes.Internal = []int32{8080, 2222}, nil
	d := newDoor(newPlatform(lrp))
	var wanted, got models.ActualLRPsResponse
	g.Expect(wanted.Unmarshal(example(g, "42-actual-lrps-response"))).To(Succeed())
	decode(g, d.send("/v1/actual_lrps/list", example(g, "16-list-actual-lrps")), &got)
	expectSame(g, got, wanted)

	lrp.Instances, lrp.States = 2, lrp.States[:2]
	d = newDoor(newPlatform(lrp))
	var wantedOf, gotOf models.ActualLRPsByProcessGuidsResponse
	g.Expect(wantedOf.Unmarshal(example(g, "43-actual-lrps-by-process-guids-response"))).To(Succeed())
	decode(g, d.send("/v1/actual_lrps/list_by_process_guids", example(g, "17-list-actual-lrps-by-process-guids")), &gotOf)
	expectSame(g, gotOf, wantedOf)
}

// Cloud Controller's code reads members of these parts without looking whether they are there.
func TestPartsOfAnActualLRPAreThereWhenTheyAreEmpty(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform(opi.PresentLRP{
		DesiredLRP: opi.DesiredLRP{LRPIdentifier: opi.LRPIdentifier{GUID: "a"}, Door: opi.DoorBBS},
		States:     []opi.Instance{{State: opi.InstanceUnclaimed, Since: exampleSince}},
	}))
	request, err := (&models.ActualLRPsRequest{ProcessGuid: "a"}).Marshal()
	g.Expect(err).NotTo(HaveOccurred())
	body := d.send("/v1/actual_lrps/list", request).Body.Bytes()
	g.Expect(body).To(ContainSubstring("\x12\x00\x1a\x00"), "the instance key and net info")
	g.Expect(body).To(ContainSubstring("\x4a\x00"), "the modification tag")
}

func TestUpdateAsInTheExample(t *testing.T) {
	g := NewWithT(t)
	lrp := dora()
	lrp.Routes, lrp.Annotation, lrp.MetricTags = opi.Routes{Other: map[string]json.RawMessage{"some-router": json.RawMessage(`{}`)}}, "old", nil
	p := newPlatform(lrp)
	d := newDoor(p)
	answer := d.send("/v1/desired_lrp/update", example(g, "10-update"))
	g.Expect(answer.Code).To(Equal(http.StatusOK))
	g.Expect(answer.Body.Bytes()).To(Equal(example(g, "48-lifecycle-response-ok")))
	updated := p.lrps[lrp.LRPIdentifier]
	g.Expect(updated.Instances).To(Equal(5))
	g.Expect(updated.Annotation).To(Equal("1796000060.5"))
	wanted := dora()
	g.Expect(updated.Routes.HTTP).To(Equal(wanted.Routes.HTTP))
	g.Expect(updated.Routes.TCP).To(Equal(wanted.Routes.TCP))
	g.Expect(updated.Routes.Internal).To(Equal(wanted.Routes.Internal))
	g.Expect(updated.Routes.Other).To(BeEmpty(), "the update has all routes; the one for SSH is left as it is")
	g.Expect(updated.MetricTags).To(Equal(wanted.MetricTags))
}

func TestUpdateLeavesOtherPartsAlone(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	d := newDoor(p)
	var answer models.DesiredLRPLifecycleResponse
	update := &models.DesiredLRPUpdate{}
	update.SetInstances(0)
	d.post(g, "/v1/desired_lrp/update", &models.UpdateDesiredLRPRequest{ProcessGuid: processGUID, Update: update}, &answer)
	g.Expect(answer.Error).To(BeNil())
	wanted := dora()
	wanted.Instances = 0
	g.Expect(p.lrps[wanted.LRPIdentifier]).To(Equal(wanted))

	update = &models.DesiredLRPUpdate{Routes: &models.Routes{}}
	d.post(g, "/v1/desired_lrp/update", &models.UpdateDesiredLRPRequest{ProcessGuid: processGUID, Update: update}, &answer)
	g.Expect(answer.Error).To(BeNil())
	left := p.lrps[wanted.LRPIdentifier]
	g.Expect(left.Routes.HTTP).To(BeEmpty(), "routes that are given replace all")
	g.Expect(left.Routes.TCP).To(BeEmpty())
	g.Expect(left.MetricTags).To(Equal(wanted.MetricTags))
}

func TestUpdateLeavesOutTagsWithoutValue(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	d := newDoor(p)
	var answer models.DesiredLRPLifecycleResponse
	update := &models.DesiredLRPUpdate{MetricTags: map[string]*models.MetricTagValue{"team": {Static: "orders"}, "empty": {}}}
	d.post(g, "/v1/desired_lrp/update", &models.UpdateDesiredLRPRequest{ProcessGuid: processGUID, Update: update}, &answer)
	g.Expect(answer.Error).To(BeNil())
	g.Expect(p.lrps[opi.ParseProcessGUID(processGUID)].MetricTags).To(Equal(map[string]opi.MetricTag{"team": text("orders")}))
	g.Expect(d.logger.LogMessages()).To(ContainElement(ContainSubstring("metric-tags-without-value-left-out")))
}

func TestRemoveAsInTheExample(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	d := newDoor(p)
	d.refusals.Keep(processGUID, opi.Refusal{Reason: "no such stack", Lasting: true})
	answer := d.send("/v1/desired_lrp/remove", example(g, "11-remove"))
	g.Expect(answer.Body.Bytes()).To(Equal(example(g, "48-lifecycle-response-ok")))
	g.Expect(p.lrps).To(BeEmpty())
	g.Expect(d.refusals.Instances(processGUID)).To(BeEmpty(), "a stopped app has no reason to show")

	answer = d.send("/v1/desired_lrp/remove", example(g, "11-remove"))
	g.Expect(answer.Body.Bytes()).To(Equal(example(g, "44-error-not-found")))
}

func TestRetireAsInTheExamples(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	d := newDoor(p)
	for _, name := range []string{"12-retire", "13-retire-index-0"} {
		answer := d.send("/v1/actual_lrps/retire", example(g, name))
		g.Expect(answer.Body.Bytes()).To(Equal(example(g, "48-lifecycle-response-ok")))
	}
	g.Expect(p.restarted).To(Equal([]string{processGUID + "/2", processGUID + "/0"}))

	var answer models.ActualLRPLifecycleResponse
	d.post(g, "/v1/actual_lrps/retire", &models.RetireActualLRPRequest{ActualLrpKey: &models.ActualLRPKey{ProcessGuid: processGUID, Index: 3, Domain: "cf-apps"}}, &answer)
	g.Expect(answer.Error).To(Equal(models.ErrResourceNotFound), "there is no such index")
	d.post(g, "/v1/actual_lrps/retire", &models.RetireActualLRPRequest{ActualLrpKey: &models.ActualLRPKey{ProcessGuid: "unknown", Domain: "cf-apps"}}, &answer)
	g.Expect(answer.Error).To(Equal(models.ErrResourceNotFound))
}

func TestPing(t *testing.T) {
	g := NewWithT(t)
	g.Expect(newDoor(newPlatform()).send("/v1/ping", nil).Body.Bytes()).To(Equal(example(g, "51-ping-response")))
}
