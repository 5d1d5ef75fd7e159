package bbs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

func (d *door) domains(g Gomega) []string {
	var answer models.DomainsResponse
	decode(g, d.send("/v1/domains/list", nil), &answer)
	return answer.Domains
}

func TestDomainsAreFreshForTheirTime(t *testing.T) {
	g := NewWithT(t)
	clock := clocktesting.NewFakePassiveClock(time.Unix(1796000000, 0))
	d := newDoor(newPlatform(), func(o *bbs.Options) { o.Clock = clock })
	g.Expect(d.domains(g)).To(BeEmpty())
	answer := d.send("/v1/domains/upsert", example(g, "18-upsert-domain"))
	g.Expect(answer.Body.Bytes()).To(Equal(example(g, "48-lifecycle-response-ok")))
	var done models.UpsertDomainResponse
	d.post(g, "/v1/domains/upsert", &models.UpsertDomainRequest{Domain: "a-lasting-one"}, &done)
	g.Expect(done.Error).To(BeNil())

	g.Expect(d.domains(g)).To(Equal([]string{"a-lasting-one", "cf-apps"}))
	clock.SetTime(time.Unix(1796000119, 0))
	g.Expect(d.domains(g)).To(HaveLen(2))
	clock.SetTime(time.Unix(1796000120, 0))
	g.Expect(d.domains(g)).To(Equal([]string{"a-lasting-one"}))
}

type cells struct{ err error }

func (c cells) Cells(context.Context) ([]opi.Cell, error) {
	return []opi.Cell{{ID: "node-1", Zone: "z1", MemoryMiB: 8192, DiskMiB: 100_000, Containers: 110, Stacks: []string{"cflinuxfs4"}, PlacementTags: []string{"segment-one"}}}, c.err
}

func TestCells(t *testing.T) {
	g := NewWithT(t)
	var answer models.CellsResponse
	decode(g, newDoor(newPlatform()).send("/v1/cells/list.r1", nil), &answer)
	g.Expect(answer.Cells).To(BeEmpty())

	with := func(err error) func(*bbs.Options) { return func(o *bbs.Options) { o.Cells = cells{err} } }
	decode(g, newDoor(newPlatform(), with(nil)).send("/v1/cells/list.r1", nil), &answer)
	g.Expect(answer.Cells).To(HaveLen(1))
	g.Expect(answer.Cells[0].CellId).To(Equal("node-1"))
	g.Expect(answer.Cells[0].Capacity.MemoryMb).To(BeEquivalentTo(8192))
	g.Expect(errorOf(g, newDoor(newPlatform(), with(errors.New("no list"))).send("/v1/cells/list.r1", nil)).GetType()).To(Equal(models.Error_UnknownError))
}
