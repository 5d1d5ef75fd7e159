package bbs_test

import (
	"net/http"
	"runtime"
	"testing"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

// fuzz sends any body to a route. The answer is a message, and the memory that it takes is
// bounded by the body's size.
func fuzz(f *testing.F, path string, examples ...string) {
	for _, name := range examples {
		f.Add(example(NewWithT(f), name))
	}
	f.Add([]byte{})
	f.Add([]byte("\x0a\xff\xff\xff\xff\x07"))
	f.Add([]byte("\x0a\x00\x0a\x00\x0a\x00\x12\x02\x0a\x00"))
	// The test's logger keeps all lines.
	d := newDoor(newPlatform(dora()), func(o *bbs.Options) { o.Logger = lager.NewLogger("fuzz") })
	f.Fuzz(func(t *testing.T, body []byte) {
		g := NewWithT(t)
		d.refusals.Forget(processGUID)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		answer := d.send(path, body)
		runtime.ReadMemStats(&after)
		g.Expect(answer.Code).To(Equal(http.StatusOK))
		// Other goroutines of the test allocate, too.
		g.Expect(after.TotalAlloc - before.TotalAlloc).To(BeNumerically("<", 16<<20+500*len(body)))
	})
}

func FuzzGet(f *testing.F) {
	fuzz(f, "/v1/desired_lrps/get_by_process_guid.r2", "14-get-by-process-guid")
}

func FuzzListDesired(f *testing.F) {
	fuzz(f, "/v1/desired_lrps/list.r3", "15-list-scheduling-infos")
}

func FuzzListSchedulingInfos(f *testing.F) {
	fuzz(f, "/v1/desired_lrp_scheduling_infos/list", "15-list-scheduling-infos")
}

func FuzzUpdate(f *testing.F) { fuzz(f, "/v1/desired_lrp/update", "10-update") }

func FuzzRemove(f *testing.F) { fuzz(f, "/v1/desired_lrp/remove", "11-remove") }

func FuzzRetire(f *testing.F) { fuzz(f, "/v1/actual_lrps/retire", "12-retire", "13-retire-index-0") }

func FuzzListActual(f *testing.F) { fuzz(f, "/v1/actual_lrps/list", "16-list-actual-lrps") }

func FuzzListActualOf(f *testing.F) {
	fuzz(f, "/v1/actual_lrps/list_by_process_guids", "17-list-actual-lrps-by-process-guids")
}

func FuzzUpsertDomain(f *testing.F) { fuzz(f, "/v1/domains/upsert", "18-upsert-domain") }

// FuzzStoredRoutes compares the list's way from stored routes to the answer, which decodes
// nothing, with that of a single LRP.
func FuzzStoredRoutes(f *testing.F) {
	lrp := dora()
	entry, err := listed(lrp.DesiredLRP)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(entry.Routes.HTTP, entry.Routes.TCP, entry.Routes.Internal, `{"some-router":{"a":[1,null]},"diego-ssh":"secret"}`)
	f.Add(` [ { "port" : 8080 , "hostname":"a\u0041\"" , "else": [{}] } ] `, `[]`, `[{}]`, `{}`)
	f.Add(`[{"hostname":"a","protocol":"","options":{}}]`, `[{"port":1}]`, ``, `{"\u0061":1}`)
	f.Fuzz(func(t *testing.T, http, tcp, internal, other string) {
		compareStoredRoutes(NewWithT(t), opi.RouteTexts{HTTP: http, TCP: tcp, Internal: internal, Other: other})
	})
}
