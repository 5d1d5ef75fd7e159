package bbs

import (
	"context"
	"errors"
	"fmt"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// listActual answers with the instances of one LRP, or of all. For an LRP that does not exist
// the list is empty, or has what was last refused about it: Cloud Controller takes an error
// for "not available".
func (h *lrpRoutes) listActual(ctx context.Context, request *models.ActualLRPsRequest, out *answer) error {
	var lrps []opi.PresentLRP
	var err error
	if request.ProcessGuid != "" {
		lrps, err = h.presentOrRefused(ctx, opi.ParseProcessGUID(request.ProcessGuid))
	} else {
		lrps, err = h.allPresent(ctx)
	}
	if err != nil {
		return err
	}
	for _, lrp := range lrps {
		if request.Domain != "" && request.Domain != lrp.Domain {
			continue
		}
		for _, instance := range lrp.States {
			if request.CellId != "" && request.CellId != instance.Cell || request.IndexExists() && int(request.GetIndex()) != instance.Index {
				continue
			}
			if err := out.entry(wireInstance(lrp.DesiredLRP, instance)); err != nil {
				return err
			}
		}
	}
	return nil
}

// listActualOf answers with the instances of many LRPs, with no call to the platform: Cloud
// Controller names all processes of a page, also those that are stopped.
func (h *lrpRoutes) listActualOf(ctx context.Context, request *models.ActualLRPsByProcessGuidsRequest, out *answer) error {
	missing := map[opi.LRPIdentifier]bool{}
	ids := make([]opi.LRPIdentifier, 0, len(request.ProcessGuids))
	for _, guid := range request.ProcessGuids {
		id := opi.ParseProcessGUID(guid)
		if missing[id] {
			continue
		}
		missing[id] = true
		ids = append(ids, id)
	}
	lrps, err := h.present(ctx, ids)
	if err != nil {
		return err
	}
	for _, lrp := range lrps {
		delete(missing, lrp.LRPIdentifier)
	}
	for _, id := range ids {
		if missing[id] {
			lrps = append(lrps, h.refused(id)...)
		}
	}
	for _, lrp := range lrps {
		for _, instance := range lrp.States {
			if err := out.entry(wireInstance(lrp.DesiredLRP, instance)); err != nil {
				return err
			}
		}
	}
	return nil
}

// present returns those of the LRPs that are known and are this door's.
func (h *lrpRoutes) present(ctx context.Context, ids []opi.LRPIdentifier) ([]opi.PresentLRP, error) {
	found, err := h.lrps.Present(ctx, ids)
	if err != nil {
		return nil, err
	}
	lrps := make([]opi.PresentLRP, 0, len(found))
	for _, lrp := range found {
		if domain, ok := h.domainOf(lrp.Door, lrp.Domain); ok {
			lrp.Domain = domain
			lrps = append(lrps, lrp)
		}
	}
	return lrps, nil
}

// presentOrRefused returns the LRP; an LRP that was refused in its place, or none. Of an LRP
// that is not known here the platform is asked: another replica may just have made it.
func (h *lrpRoutes) presentOrRefused(ctx context.Context, id opi.LRPIdentifier) ([]opi.PresentLRP, error) {
	present, err := h.present(ctx, []opi.LRPIdentifier{id})
	if err != nil || len(present) > 0 {
		return present, err
	}
	if refused := h.refused(id); refused != nil {
		return refused, nil
	}
	lrp, err := h.find(ctx, id)
	if errors.Is(err, opi.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	instances, err := h.lrps.Instances(ctx, id)
	if errors.Is(err, opi.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []opi.PresentLRP{{DesiredLRP: lrp, States: instances}}, nil
}

// refused returns what stands for an LRP that could not be desired; nil if there is none.
func (h *lrpRoutes) refused(id opi.LRPIdentifier) []opi.PresentLRP {
	instances := h.refusals.Instances(id.ProcessGUID())
	if len(instances) == 0 {
		return nil
	}
	return []opi.PresentLRP{{DesiredLRP: opi.DesiredLRP{LRPIdentifier: id, Domain: opi.DomainApps}, States: instances}}
}

// allPresent is for operators' tools.
func (h *lrpRoutes) allPresent(ctx context.Context) ([]opi.PresentLRP, error) {
	var ids []opi.LRPIdentifier
	err := h.lrps.EachListed(ctx, h.adoption.doors(), func(lrp *opi.ListedLRP) error {
		ids = append(ids, lrp.LRPIdentifier)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h.present(ctx, ids)
}

// retire answers with success if the instance at the index was ended; it is started again.
func (h *lrpRoutes) retire(ctx context.Context, request *models.RetireActualLRPRequest) error {
	id, index := opi.ParseProcessGUID(request.ActualLrpKey.ProcessGuid), int(request.ActualLrpKey.Index)
	lrp, err := h.find(ctx, id)
	if err != nil {
		return err
	}
	if index >= lrp.Instances {
		return fmt.Errorf("retire instance %d of LRP %s, which has %d: %w", index, id, lrp.Instances, opi.ErrNotFound)
	}
	return h.lrps.StopInstance(ctx, id, index)
}

// wireInstance converts the state of an index (contract/bbs.md 5.1). An instance has addresses
// and tags while it runs.
func wireInstance(lrp opi.DesiredLRP, instance opi.Instance) *models.ActualLRP {
	wire := &models.ActualLRP{
		ActualLRPKey:         models.NewActualLRPKey(lrp.ProcessGUID(), int32(instance.Index), lrp.Domain),
		ActualLRPInstanceKey: models.NewActualLRPInstanceKey(instance.GUID, instance.Cell),
		CrashCount:           int32(instance.Crashes),
		CrashReason:          instance.CrashReason,
		State:                string(instance.State),
		PlacementError:       instance.PlacementError,
		Since:                instance.Since.UnixNano(),
		ModificationTag:      *wireModification(instance.Modification),
		AvailabilityZone:     instance.Zone,
	}
	if instance.State == opi.InstanceRunning {
		wire.SetRoutable(instance.Routable)
	}
	if instance.State != opi.InstanceRunning && instance.State != opi.InstanceUnknown {
		return wire
	}
	wire.MetricTags = instanceTags(lrp.MetricTags, instance)
	if instance.Address == "" {
		return wire
	}
	wire.Address, wire.InstanceAddress = instance.Address, instance.Address
	wire.PreferredAddress = models.ActualLRPNetInfo_PreferredAddressInstance
	for _, port := range lrp.Ports {
		wire.Ports = append(wire.Ports, &models.PortMapping{ContainerPort: uint32(port), HostPort: uint32(port)})
	}
	for _, route := range lrp.Routes.Internal {
		wire.ActualLrpInternalRoutes = append(wire.ActualLrpInternalRoutes, &models.ActualLRPInternalRoute{Hostname: route.Hostname})
	}
	return wire
}
