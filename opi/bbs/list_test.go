package bbs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"code.cloudfoundry.org/bbs/models"
	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

// listing is a platform with many LRPs, as the view has them.
type listing struct {
	*platform
	lrps []opi.ListedLRP
}

func newListing(g Gomega, count int) *listing {
	l := &listing{platform: newPlatform(), lrps: make([]opi.ListedLRP, count)}
	for i := range l.lrps {
		lrp := dora().DesiredLRP
		lrp.LRPIdentifier = opi.LRPIdentifier{GUID: fmt.Sprintf("%08d-8a0c-4f0e-9d41-5b6a0c2c0a01", i), Version: "7c3a2f6e-51a4-4a5d-8a53-0b6f8d9e1c02"}
		var err error
		l.lrps[i], err = listed(lrp)
		g.Expect(err).NotTo(HaveOccurred())
		l.lrps[i].Encoding = &opi.Encoding{}
	}
	return l
}

func (l *listing) EachListed(_ context.Context, _ []opi.Door, visit func(*opi.ListedLRP) error) error {
	for i := range l.lrps {
		if err := visit(&l.lrps[i]); err != nil {
			return err
		}
	}
	return nil
}

const listPath = "/v1/desired_lrp_scheduling_infos/list"

// A list of many chunks is sent while it is made.
func TestLongListsAreWhole(t *testing.T) {
	g := NewWithT(t)
	l := newListing(g, 1000)
	answer := httptest.NewRecorder()
	handler := bbs.NewHandler(bbs.Options{LRPs: l, Refusals: opi.NewRefusals(), Logger: lager.NewLogger("test")})
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, listPath, strings.NewReader("\x0a\x07cf-apps")))
	var infos models.DesiredLRPSchedulingInfosResponse
	decode(g, answer, &infos)
	g.Expect(infos.DesiredLrpSchedulingInfos).To(HaveLen(1000))
	for i, info := range infos.DesiredLrpSchedulingInfos {
		g.Expect(info.ProcessGuid).To(Equal(l.lrps[i].ProcessGUID()))
		g.Expect(json.Valid(*info.Routes["cf-router"])).To(BeTrue())
	}
}

func TestListsHaveTheLimits(t *testing.T) {
	g := NewWithT(t)
	lrp := dora()
	lrp.Limits = opi.Limits{MemoryMiB: 64, DiskMiB: 128, CPUWeight: 12, PIDs: 1024}
	d := newDoor(newPlatform(lrp))
	var infos models.DesiredLRPSchedulingInfosResponse
	decode(g, d.send(listPath, nil), &infos)
	resource := infos.DesiredLrpSchedulingInfos[0].DesiredLRPResource
	g.Expect(resource).To(Equal(models.NewDesiredLRPResource(64, 128, 1024, "preloaded:cflinuxfs4")))

	var lrps models.DesiredLRPsResponse
	decode(g, d.send("/v1/desired_lrps/list.r3", nil), &lrps)
	g.Expect(lrps.DesiredLrps[0].CpuWeight).To(BeEquivalentTo(12))
	g.Expect(lrps.DesiredLrps[0].MaxPids).To(BeEquivalentTo(1024))
}

// An entry is encoded once for each version of an LRP.
func TestEntriesOfListsAreKept(t *testing.T) {
	g := NewWithT(t)
	l := newListing(g, 3)
	handler := bbs.NewHandler(bbs.Options{LRPs: l, Refusals: opi.NewRefusals(), Logger: lager.NewLogger("test")})
	annotations := func() (annotations []string) {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, listPath, strings.NewReader("\x0a\x07cf-apps")))
		var infos models.DesiredLRPSchedulingInfosResponse
		decode(g, answer, &infos)
		for i, info := range infos.DesiredLrpSchedulingInfos {
			g.Expect(info.ProcessGuid).To(Equal(l.lrps[i].ProcessGUID()))
			annotations = append(annotations, info.Annotation)
		}
		return annotations
	}
	before := l.lrps[0].Annotation
	l.lrps[2].Encoding = nil // which keeps nothing
	g.Expect(annotations()).To(Equal([]string{before, before, before}))
	for i := range l.lrps {
		l.lrps[i].Annotation = "new"
	}
	l.lrps[1].Encoding = &opi.Encoding{} // as of a new version
	g.Expect(annotations()).To(Equal([]string{before, "new", "new"}))
}

// Nothing is allocated for an entry that is there from the list before.
func TestListsAllocateLittle(t *testing.T) {
	g := NewWithT(t)
	handler := bbs.NewHandler(bbs.Options{LRPs: newListing(g, 1000), Refusals: opi.NewRefusals(), Logger: lager.NewLogger("test")})
	allocations := testing.AllocsPerRun(3, func() {
		request := httptest.NewRequest(http.MethodPost, listPath, strings.NewReader("\x0a\x07cf-apps"))
		handler.ServeHTTP(&discard{}, request)
	})
	g.Expect(allocations).To(BeNumerically("<", 200))
}

// discard is an answer that is not kept.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkSync compares the list that Cloud Controller's sync gets of 10,000 LRPs with a
// handler that writes the same bytes, over TLS.
func BenchmarkSync(b *testing.B) {
	g := NewWithT(b)
	handler := bbs.NewHandler(bbs.Options{LRPs: newListing(g, 10_000), Refusals: opi.NewRefusals(), Logger: lager.NewLogger("test")})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, listPath, nil))
	plain := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(answer.Body.Bytes())
	})
	b.Run("encoding alone", func(b *testing.B) {
		b.SetBytes(int64(answer.Body.Len()))
		for b.Loop() {
			handler.ServeHTTP(&discard{}, httptest.NewRequest(http.MethodPost, listPath, nil))
		}
	})
	for name, h := range map[string]http.Handler{"door": handler, "bytes": plain} {
		b.Run(name, func(b *testing.B) {
			g := NewWithT(b)
			server := httptest.NewTLSServer(h)
			defer server.Close()
			b.SetBytes(int64(answer.Body.Len()))
			for b.Loop() {
				response, err := server.Client().Post(server.URL+listPath, "application/x-protobuf", nil)
				g.Expect(err).NotTo(HaveOccurred())
				read, err := io.Copy(io.Discard, response.Body)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(read).To(BeEquivalentTo(answer.Body.Len()))
				g.Expect(response.Body.Close()).To(Succeed())
			}
		})
	}
}
