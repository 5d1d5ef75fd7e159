package bbs

import (
	"context"
	"slices"
	"time"

	"code.cloudfoundry.org/bbs/models"
	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/utils/clock"
)

// Bounds of the memory of domains: about 100 KiB.
const (
	maxDomains     = 1000
	maxDomainBytes = 63 // as in a label of an LRP
)

// domains remembers until when callers' domains are fresh. Nothing is deleted on that ground,
// so each replica has its own memory, for operators to look at.
type domains struct {
	clock clock.PassiveClock
	// fresh has the end of each; zero for no end.
	fresh *lru.Cache[string, time.Time]
}

func newDomains(clock clock.PassiveClock) *domains {
	fresh, err := lru.New[string, time.Time](maxDomains)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &domains{clock: clock, fresh: fresh}
}

func (d *domains) register(f *front) {
	write(f, "/v1/domains/upsert", "note the domain", d.upsert)
	read(f, "/v1/domains/list", "list the domains", d.list)
}

// upsert answers the message by which Cloud Controller ends a clean round of its sync.
func (d *domains) upsert(_ context.Context, request *models.UpsertDomainRequest) error {
	if request.Domain == "" || len(request.Domain) > maxDomainBytes {
		return models.NewError(models.Error_InvalidRequest, models.ErrInvalidField{Field: "domain"}.Error())
	}
	var until time.Time
	if request.Ttl > 0 {
		until = d.clock.Now().Add(time.Duration(request.Ttl) * time.Second)
	}
	d.fresh.Add(request.Domain, until)
	return nil
}

func (d *domains) list(_ context.Context, _ *nothing, out *answer) error {
	response := &models.DomainsResponse{}
	for _, domain := range d.fresh.Keys() {
		until, known := d.fresh.Peek(domain)
		if known && (until.IsZero() || until.After(d.clock.Now())) {
			response.Domains = append(response.Domains, domain)
		}
	}
	slices.Sort(response.Domains)
	return out.message(response)
}
