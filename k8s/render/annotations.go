package render

import (
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// The annotations of a StatefulSet are bounded in two parts, so that an update can
// be judged without knowing what stays: those that updates replace, and all others
// of ours. Kubernetes allows 256 KiB; the rest is left for other people's.
const (
	// maxUpdatedBytes has room for about a thousand routes, which are there twice.
	maxUpdatedBytes = 120 << 10
	maxLastingBytes = 80 << 10
)

// labels are on the StatefulSet, its pods and all companions.
func labels(lrp opi.LRP, stackRevision string) map[string]string {
	labels := OwnerLabels(keys.SourceTypeApp, lrp.GUID, lrp.App, lrp.Space, lrp.Organization)
	labels[keys.Version] = lrp.Version
	labels[keys.ProcessType] = LabelText(lrp.ProcessType)
	labels[keys.RootFSVersion] = stackRevision
	if lrp.Domain != "" {
		labels[keys.Domain] = lrp.Domain
	}
	return labels
}

// OwnerLabels returns the labels of all objects and pods of a kind of work: what it is and to
// whom it belongs.
func OwnerLabels(kind, guid string, app, space, organization opi.Owner) map[string]string {
	return map[string]string{
		keys.GUID:             guid,
		keys.AppGUID:          app.GUID,
		keys.SpaceGUID:        space.GUID,
		keys.OrganizationGUID: organization.GUID,
		keys.SourceType:       kind,

		keys.DashedAppGUID:          app.GUID,
		keys.DashedSpaceGUID:        space.GUID,
		keys.DashedOrganizationGUID: organization.GUID,
		keys.DashedSourceType:       kind,
	}
}

// Selector returns the labels by which an LRP's objects and pods are found.
func Selector(id opi.LRPIdentifier) map[string]string {
	return map[string]string{
		keys.GUID:       id.GUID,
		keys.Version:    id.Version,
		keys.SourceType: keys.SourceTypeApp,
	}
}

// ownerAnnotations name the app, space and organization of an object, as users named them.
// They are on pods too, because logs and metrics are made from pods and templates never
// change.
func ownerAnnotations(lrp opi.LRP) map[string]string {
	return map[string]string{
		keys.ApplicationID:    lrp.App.GUID,
		keys.ApplicationName:  lrp.App.Name,
		keys.SpaceName:        lrp.Space.Name,
		keys.OrganizationName: lrp.Organization.Name,
		keys.ProcessType:      lrp.ProcessType,
		keys.ProcessGUID:      lrp.ProcessGUID(),
		keys.Version:          lrp.Version,
	}
}

// lastingAnnotations stay as they are for as long as the StatefulSet does; record
// and request are not among them yet.
func lastingAnnotations(lrp opi.LRP, image AppImage, requestDigest string) map[string]string {
	annotations := ownerAnnotations(lrp)
	annotations[keys.RequestDigest] = requestDigest
	if lrp.Door != opi.DoorOPI {
		annotations[keys.Door] = string(lrp.Door)
	}
	if len(lrp.PlacementTags) > 0 {
		annotations[keys.IsolationSegment] = lrp.PlacementTags[0]
	}
	if image.Stack != "" {
		annotations[keys.Stack] = image.Stack
	}
	return annotations
}

// AnnotationChanges are what an update makes of a StatefulSet's annotations; nil removes one.
type AnnotationChanges map[string]*string

// ChangesFor returns the changes that an update makes, of what it names and of nothing else.
func ChangesFor(update opi.LRPUpdate) (AnnotationChanges, error) {
	changes := AnnotationChanges{}
	routes := update.Routes
	set := func(key, text string) {
		changes[key] = nil
		if text != "" {
			changes[key] = &text
		}
	}
	if routes.HTTP != nil {
		text, err := EncodeHTTPRoutes(*routes.HTTP)
		if err != nil {
			return nil, err
		}
		changes[keys.Routes], changes[keys.ApplicationURIs] = &text, &text
	}
	if routes.Internal != nil {
		text, err := EncodeInternalRoutes(*routes.Internal)
		if err != nil {
			return nil, err
		}
		set(keys.InternalRoutes, text)
	}
	if routes.TCP != nil {
		text, err := EncodeTCPRoutes(*routes.TCP)
		if err != nil {
			return nil, err
		}
		set(keys.TCPRoutes, text)
	}
	if routes.Other != nil {
		text, err := EncodeOtherRoutes(*routes.Other)
		if err != nil {
			return nil, err
		}
		set(keys.OtherRoutes, text)
	}
	if update.MetricTags != nil {
		text, err := encodeMetricTags(*update.MetricTags)
		if err != nil {
			return nil, err
		}
		set(keys.MetricTags, text)
	}
	if update.Door != nil {
		set(keys.Door, string(*update.Door))
	}
	if update.Annotation != nil {
		changes[keys.LastUpdated] = update.Annotation
	}
	return changes, nil
}

// Changes reports whether Apply would change the annotation of a key.
func (c AnnotationChanges) Changes(annotations map[string]string, key string) bool {
	value, present := annotations[key]
	wanted := c[key]
	if wanted == nil {
		return present
	}
	return !present || value != *wanted
}

// Apply changes annotations, those that updates replace, and returns an error if they grow
// beyond their bound. Some that are beyond it already may still shrink.
func (c AnnotationChanges) Apply(annotations map[string]string) error {
	before := annotationBytes(annotations)
	for key, value := range c {
		if value == nil {
			delete(annotations, key)
		} else {
			annotations[key] = *value
		}
	}
	if after := annotationBytes(annotations); after > max(maxUpdatedBytes, before) {
		return opi.Invalid("routes", "routes, metric tags and annotation would take %d bytes, more than the %d that there are for them (HTTP routes are kept twice)", after, maxUpdatedBytes)
	}
	return nil
}

func annotationBytes(annotations map[string]string) int {
	total := 0
	for key, value := range annotations {
		total += len(key) + len(value)
	}
	return total
}

// fitAnnotations adds record and request to the lasting annotations. What would not
// fit moves compressed into data, the content of the LRP's Secret: first the
// request, which is there for people only, then the egress rules.
func fitAnnotations(annotations map[string]string, r lrpRecord, request string, data map[string][]byte) error {
	add := func(key, value string) bool {
		annotations[key] = value
		if annotationBytes(annotations) <= maxLastingBytes {
			return true
		}
		delete(annotations, key)
		return false
	}
	text, err := r.encode()
	if err != nil {
		return err
	}
	if !add(keys.LRP, text) && len(r.LRP.EgressRules) > 0 {
		if err := packEgressRules(r.LRP.EgressRules, data); err != nil {
			return err
		}
		r.LRP.EgressRules, r.EgressRulesInSecret = nil, true
		if text, err = r.encode(); err != nil {
			return err
		}
		add(keys.LRP, text)
	}
	if annotations[keys.LRP] == "" {
		return opi.Invalid("userAnnotations", "the LRP's names, commands and annotations have more than %d bytes together", maxLastingBytes)
	}
	if request != "" && !add(keys.OriginalRequest, request) {
		if data[secretKeyRequest], err = compress([]byte(request)); err != nil {
			return err
		}
	}
	return nil
}
