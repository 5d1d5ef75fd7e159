package bbs

import (
	"context"
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/opi"
)

// LRPs is the back end. Errors wrap opi.ErrNotFound, opi.ErrUnavailable or opi.ErrRefused, or
// are *opi.FieldError; anything else is the platform's fault.
type LRPs interface {
	// Desire makes sure that the LRP exists.
	Desire(ctx context.Context, lrp opi.LRP) error
	Update(ctx context.Context, id opi.LRPIdentifier, update opi.LRPUpdate) error
	Stop(ctx context.Context, id opi.LRPIdentifier) error
	// StopInstance ends the instance at one index, which is then started again.
	StopInstance(ctx context.Context, id opi.LRPIdentifier, index int) error

	Get(ctx context.Context, id opi.LRPIdentifier) (opi.DesiredLRP, error)
	// Instances returns every desired index once.
	Instances(ctx context.Context, id opi.LRPIdentifier) ([]opi.Instance, error)
	// SSHRoute returns the LRP's [opi.LRP.SSHRoute]; empty if it has none.
	SSHRoute(ctx context.Context, id opi.LRPIdentifier) ([]byte, error)

	// Present returns what Get and Instances do for each LRP of the list that is found without
	// a call to the platform.
	Present(ctx context.Context, ids []opi.LRPIdentifier) ([]opi.PresentLRP, error)
	// ListWhole returns all LRPs of a door or fails.
	ListWhole(ctx context.Context, door opi.Door) ([]opi.DesiredLRP, error)
	// EachListed visits all LRPs of some doors, or fails before the first. An error of the
	// visitor ends it. The visitor keeps no pointer.
	EachListed(ctx context.Context, doors []opi.Door, visit func(*opi.ListedLRP) error) error
}

// startApp is what desiring does, for texts.
const startApp = "start the app"

// lrpRoutes are the routes about LRPs.
type lrpRoutes struct {
	lrps     LRPs
	refusals *opi.Refusals
	logger   lager.Logger
	clock    clock.PassiveClock
	adoption adoption
}

func newLRPs(options Options, logger lager.Logger) *lrpRoutes {
	return &lrpRoutes{
		lrps: options.LRPs, refusals: options.Refusals, logger: logger,
		clock: options.Clock, adoption: adoption{opi: options.AdoptOPI},
	}
}

func (h *lrpRoutes) register(f *front) {
	const look, list = "look at the app", "list the apps"
	writeOrNote(f, "/v1/desired_lrp/desire.r2", startApp, h.desire, h.noteRefusal)
	read(f, "/v1/desired_lrps/get_by_process_guid.r2", look, h.get)
	read(f, "/v1/desired_lrps/get_by_process_guid.r3", look, h.getWithSSH)
	read(f, "/v1/desired_lrps/list.r2", list, h.listDesired)
	read(f, "/v1/desired_lrps/list.r3", list, h.listDesired)
	read(f, "/v1/desired_lrp_scheduling_infos/list", list, h.listSchedulingInfos)
	read(f, "/v1/actual_lrps/list", "look at the app's instances", h.listActual)
	read(f, "/v1/actual_lrps/list_by_process_guids", "look at the apps' instances", h.listActualOf)
	write(f, "/v1/desired_lrp/update", "change the app", h.update)
	write(f, "/v1/desired_lrp/remove", "stop the app", h.remove)
	write(f, "/v1/actual_lrps/retire", "restart the instance", h.retire)
}

// domainOf returns the domain in which this door has an LRP. ok is false for an LRP of another
// door, which does not exist for callers of this one.
func (h *lrpRoutes) domainOf(door opi.Door, domain string) (_ string, ok bool) {
	return h.adoption.domainOf(door, domain, opi.DomainApps)
}

// find returns an LRP of this door with the domain that it has here.
func (h *lrpRoutes) find(ctx context.Context, id opi.LRPIdentifier) (opi.DesiredLRP, error) {
	lrp, err := h.lrps.Get(ctx, id)
	if err != nil {
		return opi.DesiredLRP{}, err
	}
	domain, ok := h.domainOf(lrp.Door, lrp.Domain)
	if !ok {
		return opi.DesiredLRP{}, fmt.Errorf("find LRP %s: it was desired by the front door %q: %w", id, lrp.Door, opi.ErrNotFound)
	}
	lrp.Domain = domain
	return lrp, nil
}
