package bbs_test

import (
	"encoding/json"
	"testing"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// compareStoredRoutes expects the same from the texts as from the routes that they decode to.
// Texts that can't be decoded are not compared, but what is answered for them is JSON.
func compareStoredRoutes(g Gomega, texts opi.RouteTexts) {
	routes, err := render.DecodeRoutes(texts)
	lrp := dora()
	lrp.Routes = routes
	p := newPlatform(lrp)
	p.texts = &texts
	d := newDoor(p)
	var infos models.DesiredLRPSchedulingInfosResponse
	d.post(g, "/v1/desired_lrp_scheduling_infos/list", &models.DesiredLRPsRequest{}, &infos)
	listed := infos.DesiredLrpSchedulingInfos[0].Routes
	for kind, value := range listed {
		g.Expect(json.Valid(*value)).To(BeTrue(), "%q: %s", kind, *value)
	}
	if err != nil {
		return
	}
	var desired models.DesiredLRPResponse
	d.post(g, "/v1/desired_lrps/get_by_process_guid.r2", &models.DesiredLRPByProcessGuidRequest{ProcessGuid: processGUID}, &desired)
	expectSame(g, listed, *desired.DesiredLrp.Routes)
}

func TestStoredRoutesThatPeopleEdited(t *testing.T) {
	good := `[{"hostname":"a.example.com","port":8080}]`
	for name, texts := range map[string]opi.RouteTexts{
		"spaces":              {HTTP: " [ {\n\"port\" : 8080,\t\"hostname\":\"a\" } ] "},
		"members of no use":   {HTTP: `[{"hostname":"a","port":1,"x":{"y":["}"]},"z":-1.5e3}]`},
		"escapes":             {HTTP: `[{"hostname":"a\u003cb\\\"","port":1}]`},
		"not closed":          {HTTP: good[:len(good)-1], TCP: `[{"port":1`, Internal: `[`, Other: `{"a":`},
		"more after the end":  {HTTP: good + "]"},
		"no list":             {HTTP: `{}`, TCP: `null`, Internal: `"a"`, Other: `[]`},
		"no objects":          {HTTP: `[1]`, TCP: `["a"]`, Internal: `[[]]`},
		"wrong types":         {HTTP: `[{"hostname":1}]`, TCP: `[{"port":"1"}]`, Internal: `[{"hostname":{}}]`},
		"a wrong escape":      {HTTP: `[{"hostname":"\x"}]`},
		"a control character": {HTTP: "[{\"hostname\":\"a\nb\"}]"},
		"no number":           {HTTP: `[{"hostname":"a","port":01}]`},
		"options of no use":   {HTTP: `[{"hostname":"a","port":1,"options":{"a":}}]`},
		"commas":              {HTTP: `[,]`, TCP: `[{},]`, Other: `{,}`},
		"kinds with escapes":  {Other: `{"a\"b":1,"diego-ssh":{"private_key":"secret"}}`},
	} {
		t.Run(name, func(t *testing.T) { compareStoredRoutes(NewWithT(t), texts) })
	}
}
