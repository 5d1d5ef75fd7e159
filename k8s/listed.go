package k8s

import (
	"context"
	"fmt"
	"slices"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// EachListed visits all LRPs of some doors. Like List it returns an error that wraps
// opi.ErrUnavailable, before the first visit, when the view may have missed something. An
// error of the visitor ends it. The visitor may take its time, and keeps no pointer. Of an LRP with an encoding it gets only what
// finds the LRP, and the encoding.
func (l *LRPs) EachListed(_ context.Context, doors []opi.Door, visit func(*opi.ListedLRP) error) error {
	if err := l.view.Fresh(); err != nil {
		return fmt.Errorf("list LRPs: %w", err)
	}
	var found []*view.LRP
	l.view.EachLRP(func(lrp *view.LRP) {
		if slices.Contains(doors, lrp.Door) {
			found = append(found, lrp)
		}
	})
	var listed opi.ListedLRP
	for _, lrp := range found {
		listed = opi.ListedLRP{
			LRPIdentifier: lrp.LRPIdentifier,
			Door:          lrp.Door,
			Domain:        lrp.Domain,
			AppGUID:       lrp.AppGUID,
			Encoding:      lrp.Encoding,
		}
		if lrp.Encoding.Load() == "" {
			listed.Instances, listed.Annotation, listed.Routes = lrp.Instances, lrp.Annotation, lrp.RouteTexts()
			listed.PlacementTag, listed.Stack, listed.Image = lrp.IsolationSegment, lrp.Stack, lrp.Image
			listed.MemoryMiB, listed.DiskMiB, listed.PIDs = lrp.MemoryMiB, lrp.DiskMiB, lrp.PIDs
			listed.Modification = lrp.Modification()
		}
		if err := visit(&listed); err != nil {
			return fmt.Errorf("list LRPs: %w", err)
		}
	}
	return nil
}

// Present returns those of the LRPs that the view has, with the states of their instances. It
// makes no call to the API server. Routes and metric tags that can't be read, which only people
// with kubectl can bring about, are left out.
func (l *LRPs) Present(_ context.Context, ids []opi.LRPIdentifier) ([]opi.PresentLRP, error) {
	if !l.view.Synced() {
		return nil, fmt.Errorf("look for %d LRPs: the view of the app namespace is not complete yet: %w", len(ids), opi.ErrUnavailable)
	}
	present := make([]opi.PresentLRP, 0, len(ids))
	for _, id := range ids {
		found, known := l.view.LRP(id)
		if !known {
			continue
		}
		// What can be read is returned with the error.
		desired, _ := desiredLRP(&found)
		present = append(present, opi.PresentLRP{DesiredLRP: desired, States: l.view.Instances(found)})
	}
	return present, nil
}
