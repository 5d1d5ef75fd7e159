package bbs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// get answers with an LRP as it is desired. Cloud Controller takes ResourceNotFound for
// "absent" and desires the LRP. The route for SSH is left out: it has a private key, and a
// request without it does not change it.
func (h *lrpRoutes) get(ctx context.Context, request *models.DesiredLRPByProcessGuidRequest, out *answer) error {
	return h.answerDesired(ctx, request, out, func(context.Context, opi.LRPIdentifier) ([]byte, error) { return nil, nil })
}

// getWithSSH is get for the SSH proxy.
func (h *lrpRoutes) getWithSSH(ctx context.Context, request *models.DesiredLRPByProcessGuidRequest, out *answer) error {
	return h.answerDesired(ctx, request, out, h.lrps.SSHRoute)
}

func (h *lrpRoutes) answerDesired(ctx context.Context, request *models.DesiredLRPByProcessGuidRequest, out *answer, sshRoute func(context.Context, opi.LRPIdentifier) ([]byte, error)) error {
	id := opi.ParseProcessGUID(request.ProcessGuid)
	lrp, err := h.find(ctx, id)
	if err != nil {
		return err
	}
	route, err := sshRoute(ctx, id)
	if err != nil {
		return err
	}
	wire, err := wireDesired(lrp, route)
	if err != nil {
		return err
	}
	return out.message(&models.DesiredLRPResponse{DesiredLrp: wire})
}

// listDesired answers with all LRPs, for operators' tools.
func (h *lrpRoutes) listDesired(ctx context.Context, request *models.DesiredLRPsRequest, out *answer) error {
	matches := newFilter(request)
	for _, door := range h.adoption.doors() {
		lrps, err := h.lrps.ListWhole(ctx, door)
		if err != nil {
			return err
		}
		for _, lrp := range lrps {
			lrp.Domain, _ = h.domainOf(lrp.Door, lrp.Domain)
			if !matches.lrp(lrp.Domain, lrp.LRPIdentifier, lrp.App.GUID) {
				continue
			}
			wire, err := wireDesired(lrp, nil)
			if err != nil {
				return err
			}
			if err := out.entry(wire); err != nil {
				return err
			}
		}
	}
	return nil
}

// filter is which LRPs a list should have.
type filter struct {
	domain       string
	processGUIDs map[opi.LRPIdentifier]bool
	appGUIDs     map[string]bool
}

func newFilter(request *models.DesiredLRPsRequest) filter {
	f := filter{domain: request.Domain, processGUIDs: map[opi.LRPIdentifier]bool{}, appGUIDs: map[string]bool{}}
	for _, guid := range request.ProcessGuids {
		f.processGUIDs[opi.ParseProcessGUID(guid)] = true
	}
	for _, guid := range request.AppGuids {
		f.appGUIDs[guid] = true
	}
	return f
}

func (f filter) lrp(domain string, id opi.LRPIdentifier, appGUID string) bool {
	return (f.domain == "" || f.domain == domain) &&
		(len(f.processGUIDs) == 0 || f.processGUIDs[id]) &&
		(len(f.appGUIDs) == 0 || f.appGUIDs[appGUID])
}

// wireDesired converts an LRP. What runs in it is left out: its environment is secret, and
// no caller of these routes reads it.
func wireDesired(lrp opi.DesiredLRP, sshRoute json.RawMessage) (*models.DesiredLRP, error) {
	routes, err := wireRoutes(lrp.Routes, sshRoute)
	if err != nil {
		return nil, err
	}
	ports := make([]uint32, 0, len(lrp.Ports))
	for _, port := range lrp.Ports {
		ports = append(ports, uint32(port))
	}
	image := ""
	if lrp.RootFS.Image != nil {
		image = lrp.RootFS.Image.Reference
	}
	return &models.DesiredLRP{
		ProcessGuid:     lrp.ProcessGUID(),
		Domain:          lrp.Domain,
		RootFs:          wireRootFS(lrp.RootFS.Stack, image),
		Instances:       int32(lrp.Instances),
		DiskMb:          int32(lrp.Limits.DiskMiB),
		MemoryMb:        int32(lrp.Limits.MemoryMiB),
		CpuWeight:       uint32(lrp.Limits.CPUWeight),
		MaxPids:         int32(lrp.Limits.PIDs),
		Ports:           ports,
		Routes:          routes,
		LogGuid:         lrp.App.GUID,
		Annotation:      lrp.Annotation,
		PlacementTags:   slices.Clone(lrp.PlacementTags),
		MetricTags:      wireMetricTags(lrp.MetricTags),
		ModificationTag: wireModification(lrp.Modification),
	}, nil
}

func wireModification(tag opi.ModificationTag) *models.ModificationTag {
	return &models.ModificationTag{Epoch: tag.Epoch, Index: tag.Index}
}

// update answers with success if the LRP has what the request asks for. Parts that are absent
// stay as they are; of routes, a kind that is absent loses its routes, but for those for SSH.
func (h *lrpRoutes) update(ctx context.Context, request *models.UpdateDesiredLRPRequest) error {
	id := opi.ParseProcessGUID(request.ProcessGuid)
	update, err := readUpdate(request.GetUpdate())
	if err := errors.Join(err, update.Validate()); err != nil {
		return err
	}
	lrp, err := h.find(ctx, id)
	if err != nil {
		return err
	}
	if lrp.Door != opi.DoorBBS {
		// Its caller speaks to this door from now on.
		door, domain := opi.DoorBBS, opi.DomainApps
		update.Door, update.Domain = &door, &domain
	}
	return h.lrps.Update(ctx, id, update)
}

// readUpdate converts an update; nil changes nothing. The credentials of an image can't be
// changed without a restart, and Cloud Controller sends none.
func readUpdate(wire *models.DesiredLRPUpdate) (opi.LRPUpdate, error) {
	var update opi.LRPUpdate
	if wire == nil {
		return update, nil
	}
	if wire.InstancesExists() {
		instances := int(wire.GetInstances())
		update.Instances = &instances
	}
	if wire.AnnotationExists() {
		annotation := wire.GetAnnotation()
		update.Annotation = &annotation
	}
	if wire.MetricTags != nil {
		tags := metricTags(wire.MetricTags)
		update.MetricTags = &tags
	}
	if wire.ImageUsernameExists() || wire.ImagePasswordExists() {
		return update, opi.Invalid("update.image_username", "can't be changed while the app runs")
	}
	if wire.Routes == nil {
		return update, nil
	}
	var err error
	update.Routes, err = readRouteUpdate(*wire.Routes)
	return update, err
}

// remove answers with success if the LRP is gone. Also why one was refused is forgotten: the
// app was stopped.
func (h *lrpRoutes) remove(ctx context.Context, request *models.RemoveDesiredLRPRequest) error {
	id := opi.ParseProcessGUID(request.ProcessGuid)
	h.refusals.Forget(id.ProcessGUID())
	if _, err := h.find(ctx, id); err != nil {
		return err
	}
	return h.lrps.Stop(ctx, id)
}
