package bbs_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// platform is a back end that keeps LRPs in memory. Each instance of a desired LRP runs.
type platform struct {
	mu        sync.Mutex
	lrps      map[opi.LRPIdentifier]opi.PresentLRP
	sshRoutes map[opi.LRPIdentifier][]byte
	restarted []string
	// err is returned by every call that needs the API server, hold is called by writes.
	err  error
	hold func(context.Context) error
	// writes counts calls that change something, searches those that look beyond the view.
	writes, searches int
	desired          []opi.LRP
	// texts are the routes that lists have, in place of the LRP's own.
	texts *opi.RouteTexts
}

func newPlatform(lrps ...opi.PresentLRP) *platform {
	p := &platform{lrps: map[opi.LRPIdentifier]opi.PresentLRP{}, sshRoutes: map[opi.LRPIdentifier][]byte{}}
	for _, lrp := range lrps {
		p.lrps[lrp.LRPIdentifier] = lrp
	}
	return p
}

func (p *platform) write(ctx context.Context, change func() error) error {
	p.mu.Lock()
	hold, err := p.hold, p.err
	p.writes++
	p.mu.Unlock()
	if hold != nil {
		if err := hold(ctx); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return change()
}

func (p *platform) Desire(ctx context.Context, lrp opi.LRP) error {
	return p.write(ctx, func() error {
		p.desired = append(p.desired, lrp)
		present := p.lrps[lrp.LRPIdentifier]
		present.DesiredLRP = opi.DesiredLRP{
			LRPIdentifier: lrp.LRPIdentifier, Door: lrp.Door, Domain: lrp.Domain, Instances: lrp.Instances,
			Routes: lrp.Routes, Annotation: lrp.Annotation, MetricTags: lrp.MetricTags, App: lrp.App,
			PlacementTags: lrp.PlacementTags, Ports: lrp.Ports, RootFS: lrp.RootFS, Limits: lrp.Limits,
		}
		p.lrps[lrp.LRPIdentifier], p.sshRoutes[lrp.LRPIdentifier] = present, lrp.SSHRoute
		return nil
	})
}

func (p *platform) Update(ctx context.Context, id opi.LRPIdentifier, update opi.LRPUpdate) error {
	return p.write(ctx, func() error {
		lrp, known := p.lrps[id]
		if !known {
			return fmt.Errorf("update LRP %s: %w", id, opi.ErrNotFound)
		}
		lrp.Instances = *cmp.Or(update.Instances, &lrp.Instances)
		lrp.Annotation = *cmp.Or(update.Annotation, &lrp.Annotation)
		lrp.MetricTags = *cmp.Or(update.MetricTags, &lrp.MetricTags)
		lrp.Routes.HTTP = *cmp.Or(update.Routes.HTTP, &lrp.Routes.HTTP)
		lrp.Routes.TCP = *cmp.Or(update.Routes.TCP, &lrp.Routes.TCP)
		lrp.Routes.Internal = *cmp.Or(update.Routes.Internal, &lrp.Routes.Internal)
		lrp.Routes.Other = *cmp.Or(update.Routes.Other, &lrp.Routes.Other)
		lrp.Door = *cmp.Or(update.Door, &lrp.Door)
		lrp.Domain = *cmp.Or(update.Domain, &lrp.Domain)
		p.lrps[id] = lrp
		return nil
	})
}

func (p *platform) Stop(ctx context.Context, id opi.LRPIdentifier) error {
	return p.write(ctx, func() error {
		delete(p.lrps, id)
		return nil
	})
}

func (p *platform) StopInstance(ctx context.Context, id opi.LRPIdentifier, index int) error {
	return p.write(ctx, func() error {
		p.restarted = append(p.restarted, fmt.Sprintf("%s/%d", id, index))
		return nil
	})
}

func (p *platform) find(id opi.LRPIdentifier) (opi.PresentLRP, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return opi.PresentLRP{}, p.err
	}
	lrp, known := p.lrps[id]
	if !known {
		p.searches++
		return opi.PresentLRP{}, fmt.Errorf("find LRP %s: %w", id, opi.ErrNotFound)
	}
	return lrp, nil
}

func (p *platform) Get(_ context.Context, id opi.LRPIdentifier) (opi.DesiredLRP, error) {
	lrp, err := p.find(id)
	return lrp.DesiredLRP, err
}

func (p *platform) Instances(_ context.Context, id opi.LRPIdentifier) ([]opi.Instance, error) {
	lrp, err := p.find(id)
	return lrp.States, err
}

func (p *platform) SSHRoute(_ context.Context, id opi.LRPIdentifier) ([]byte, error) {
	_, err := p.find(id)
	return p.sshRoutes[id], err
}

func (p *platform) Present(_ context.Context, ids []opi.LRPIdentifier) ([]opi.PresentLRP, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(p.err, opi.ErrUnavailable) {
		return nil, p.err
	}
	var present []opi.PresentLRP
	for _, id := range ids {
		if lrp, known := p.lrps[id]; known {
			present = append(present, lrp)
		}
	}
	return present, nil
}

// all returns the LRPs of some doors in a fixed order.
func (p *platform) all(doors ...opi.Door) ([]opi.DesiredLRP, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var lrps []opi.DesiredLRP
	for _, id := range slices.SortedFunc(maps.Keys(p.lrps), func(a, b opi.LRPIdentifier) int { return cmp.Compare(a.String(), b.String()) }) {
		if lrp := p.lrps[id].DesiredLRP; slices.Contains(doors, lrp.Door) {
			lrps = append(lrps, lrp)
		}
	}
	return lrps, p.err
}

func (p *platform) ListWhole(_ context.Context, door opi.Door) ([]opi.DesiredLRP, error) {
	return p.all(door)
}

func (p *platform) EachListed(_ context.Context, doors []opi.Door, visit func(*opi.ListedLRP) error) error {
	lrps, err := p.all(doors...)
	if err != nil {
		return err
	}
	for _, lrp := range lrps {
		entry, err := listed(lrp)
		if err != nil {
			return err
		}
		entry.Routes = *cmp.Or(p.texts, &entry.Routes)
		if err := visit(&entry); err != nil {
			return err
		}
	}
	return nil
}

// listed returns an LRP with routes as Kubernetes objects have them.
func listed(lrp opi.DesiredLRP) (opi.ListedLRP, error) {
	entry := opi.ListedLRP{
		LRPIdentifier: lrp.LRPIdentifier, Door: lrp.Door, Domain: lrp.Domain, Instances: lrp.Instances, Annotation: lrp.Annotation,
		AppGUID: lrp.App.GUID, Stack: lrp.RootFS.Stack, MemoryMiB: int32(lrp.Limits.MemoryMiB), DiskMiB: int32(lrp.Limits.DiskMiB),
		PIDs: int32(lrp.Limits.PIDs), Modification: lrp.Modification,
	}
	if len(lrp.PlacementTags) > 0 {
		entry.PlacementTag = lrp.PlacementTags[0]
	}
	if lrp.RootFS.Image != nil {
		entry.Image = lrp.RootFS.Image.Reference
	}
	var errs [4]error
	entry.Routes.HTTP, errs[0] = render.EncodeHTTPRoutes(lrp.Routes.HTTP)
	entry.Routes.TCP, errs[1] = render.EncodeTCPRoutes(lrp.Routes.TCP)
	entry.Routes.Internal, errs[2] = render.EncodeInternalRoutes(lrp.Routes.Internal)
	entry.Routes.Other, errs[3] = render.EncodeOtherRoutes(lrp.Routes.Other)
	return entry, errors.Join(errs[:]...)
}
