package bbs_test

import (
	"testing"
	"time"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

func (d *door) instances(g Gomega, request *models.ActualLRPsRequest) []*models.ActualLRP {
	var answer models.ActualLRPsResponse
	d.post(g, "/v1/actual_lrps/list", request, &answer)
	g.Expect(answer.Error).To(BeNil())
	return answer.ActualLrps
}

func TestInstancesOfAnLRPThatIsNotThere(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	g.Expect(d.instances(g, &models.ActualLRPsRequest{ProcessGuid: processGUID})).To(BeEmpty(), "an error would be a 503 for the user")

	refused := time.Unix(1796000000, 0)
	d.refusals.Keep(processGUID, opi.Refusal{Reason: "there is no stack \"windows\"", Lasting: true, Instances: 2, At: refused})
	found := d.instances(g, &models.ActualLRPsRequest{ProcessGuid: processGUID})
	g.Expect(found).To(HaveLen(2))
	g.Expect(found[1].Index).To(BeEquivalentTo(1))
	g.Expect(found[1].State).To(Equal("CRASHED"))
	g.Expect(found[1].PlacementError).To(ContainSubstring("windows"))
	g.Expect(found[1].Since).To(Equal(refused.UnixNano()))
	g.Expect(found[1].Domain).To(Equal("cf-apps"))

	var many models.ActualLRPsByProcessGuidsResponse
	d.post(g, "/v1/actual_lrps/list_by_process_guids", &models.ActualLRPsByProcessGuidsRequest{ProcessGuids: []string{"unknown", processGUID, processGUID}}, &many)
	g.Expect(many.ActualLrps).To(HaveLen(2), "each index once, although the guid is named twice")
}

func TestManyInstancesAreFoundWithoutTheAPIServer(t *testing.T) {
	g := NewWithT(t)
	p := newPlatform(dora())
	var answer models.ActualLRPsByProcessGuidsResponse
	newDoor(p).post(g, "/v1/actual_lrps/list_by_process_guids", &models.ActualLRPsByProcessGuidsRequest{ProcessGuids: []string{"unknown", processGUID}}, &answer)
	g.Expect(answer.ActualLrps).To(HaveLen(3))
	g.Expect(p.searches).To(BeZero())
}

func TestInstancesAreFiltered(t *testing.T) {
	g := NewWithT(t)
	other := dora()
	other.LRPIdentifier, other.Domain = opi.LRPIdentifier{GUID: "other"}, "other-domain"
	other.States = []opi.Instance{{State: opi.InstanceRunning, Since: exampleSince, Cell: "node-2"}}
	d := newDoor(newPlatform(dora(), other))
	at := func(index int32) *models.ActualLRPsRequest {
		request := &models.ActualLRPsRequest{ProcessGuid: processGUID}
		request.SetIndex(index)
		return request
	}
	for name, each := range map[string]struct {
		request *models.ActualLRPsRequest
		want    int
	}{
		"all":             {&models.ActualLRPsRequest{}, 4},
		"of a domain":     {&models.ActualLRPsRequest{Domain: "cf-apps"}, 3},
		"of a cell":       {&models.ActualLRPsRequest{CellId: "node-2"}, 1},
		"of a process":    {&models.ActualLRPsRequest{ProcessGuid: "other"}, 1},
		"of index 0":      {at(0), 1},
		"of no index":     {at(7), 0},
		"of a wrong cell": {&models.ActualLRPsRequest{ProcessGuid: "other", CellId: "node-1"}, 0},
	} {
		g.Expect(d.instances(g, each.request)).To(HaveLen(each.want), name)
	}
}

func TestRoutableIsSetWhileAnInstanceRuns(t *testing.T) {
	g := NewWithT(t)
	lrp := dora()
	lrp.States = append(lrp.States, opi.Instance{Index: 3, State: opi.InstanceRunning, Since: exampleSince})
	found := newDoor(newPlatform(lrp)).instances(g, &models.ActualLRPsRequest{ProcessGuid: processGUID})
	g.Expect(found[0].GetRoutable()).To(BeTrue())
	g.Expect(found[1].RoutableExists()).To(BeFalse(), "it is starting")
	g.Expect(found[3].RoutableExists()).To(BeTrue())
	g.Expect(found[3].GetRoutable()).To(BeFalse(), "it is not ready")
}

func TestLRPsOfTheOPIDoor(t *testing.T) {
	g := NewWithT(t)
	lrp := dora()
	lrp.Door, lrp.Domain = opi.DoorOPI, ""
	var desired models.DesiredLRPResponse
	var infos models.DesiredLRPSchedulingInfosResponse
	var whole models.DesiredLRPsResponse
	var done models.DesiredLRPLifecycleResponse

	p := newPlatform(lrp)
	d := newDoor(p)
	d.post(g, "/v1/desired_lrps/get_by_process_guid.r2", &models.DesiredLRPByProcessGuidRequest{ProcessGuid: processGUID}, &desired)
	g.Expect(desired.Error).To(Equal(models.ErrResourceNotFound))
	d.post(g, "/v1/desired_lrp_scheduling_infos/list", &models.DesiredLRPsRequest{}, &infos)
	g.Expect(infos.DesiredLrpSchedulingInfos).To(BeEmpty())
	d.post(g, "/v1/desired_lrps/list.r3", &models.DesiredLRPsRequest{}, &whole)
	g.Expect(whole.DesiredLrps).To(BeEmpty())
	g.Expect(d.instances(g, &models.ActualLRPsRequest{ProcessGuid: processGUID})).To(BeEmpty())
	d.post(g, "/v1/desired_lrp/remove", &models.RemoveDesiredLRPRequest{ProcessGuid: processGUID}, &done)
	g.Expect(done.Error).To(Equal(models.ErrResourceNotFound))
	g.Expect(p.lrps).To(HaveLen(1), "nothing was touched")

	d = newDoor(p, func(o *bbs.Options) { o.AdoptOPI = true })
	desired = models.DesiredLRPResponse{}
	d.post(g, "/v1/desired_lrps/get_by_process_guid.r2", &models.DesiredLRPByProcessGuidRequest{ProcessGuid: processGUID}, &desired)
	g.Expect(desired.DesiredLrp.Domain).To(Equal("cf-apps"))
	d.post(g, "/v1/desired_lrp_scheduling_infos/list", &models.DesiredLRPsRequest{Domain: "cf-apps"}, &infos)
	g.Expect(infos.DesiredLrpSchedulingInfos).To(HaveLen(1))
	d.post(g, "/v1/desired_lrps/list.r3", &models.DesiredLRPsRequest{Domain: "cf-apps"}, &whole)
	g.Expect(whole.DesiredLrps).To(HaveLen(1))
	g.Expect(d.instances(g, &models.ActualLRPsRequest{ProcessGuid: processGUID, Domain: "cf-apps"})).To(HaveLen(3))
	// Whoever changes it speaks to this door from now on.
	update := &models.DesiredLRPUpdate{}
	update.SetAnnotation("2.5")
	done = models.DesiredLRPLifecycleResponse{}
	d.post(g, "/v1/desired_lrp/update", &models.UpdateDesiredLRPRequest{ProcessGuid: processGUID, Update: update}, &done)
	g.Expect(done.Error).To(BeNil())
	taken := p.lrps[lrp.LRPIdentifier]
	g.Expect(taken.Door).To(Equal(opi.DoorBBS))
	g.Expect(taken.Domain).To(Equal("cf-apps"))
	g.Expect(taken.Annotation).To(Equal("2.5"))

	done = models.DesiredLRPLifecycleResponse{}
	d.post(g, "/v1/desired_lrp/remove", &models.RemoveDesiredLRPRequest{ProcessGuid: processGUID}, &done)
	g.Expect(done.Error).To(BeNil())
	g.Expect(p.lrps).To(BeEmpty())
}
