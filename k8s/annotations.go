package k8s

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// maxAnnotationBytes bounds all annotations of a StatefulSet together. Kubernetes
// allows 256 KiB; the rest is left for others.
const maxAnnotationBytes = 200 << 10

// labels are on the StatefulSet, its pods and all companions.
func labels(lrp opi.LRP, stackRevision string) map[string]string {
	return map[string]string{
		keys.GUID:             lrp.GUID,
		keys.Version:          lrp.Version,
		keys.AppGUID:          lrp.App.GUID,
		keys.SpaceGUID:        lrp.Space.GUID,
		keys.OrganizationGUID: lrp.Organization.GUID,
		keys.ProcessType:      labelText(lrp.ProcessType),
		keys.SourceType:       keys.SourceTypeApp,
		keys.RootFSVersion:    stackRevision,
	}
}

// selector finds an LRP's pods.
func selector(id opi.LRPIdentifier) map[string]string {
	return map[string]string{
		keys.GUID:       id.GUID,
		keys.Version:    id.Version,
		keys.SourceType: keys.SourceTypeApp,
	}
}

// ownerAnnotations say whose an object is in the names that users gave. They are
// on pods too, because logs and metrics are made from pods and templates never
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

// updateAnnotations are the annotations that an update replaces; nil leaves what
// is there.
func updateAnnotations(routes *opi.Routes, annotation *string) (map[string]string, error) {
	annotations := map[string]string{}
	if routes != nil {
		text, err := encodeRoutes(*routes)
		if err != nil {
			return nil, err
		}
		annotations[keys.Routes] = text
		annotations[keys.ApplicationURIs] = text
	}
	if annotation != nil {
		annotations[keys.LastUpdated] = *annotation
	}
	return annotations, nil
}

// httpRoute is one element of the routes annotation, in the predecessor's form.
type httpRoute struct {
	Hostname string `json:"hostname"`
	Port     int32  `json:"port"`
}

func encodeRoutes(routes opi.Routes) (string, error) {
	encoded := make([]httpRoute, 0, len(routes.HTTP))
	for _, route := range routes.HTTP {
		encoded = append(encoded, httpRoute{Hostname: route.Hostname, Port: route.Port})
	}
	text, err := json.Marshal(encoded)
	if err != nil {
		return "", fmt.Errorf("encode routes: %w", err)
	}
	return string(text), nil
}

// decodeRoutes reads the routes annotation; empty text means no routes.
func decodeRoutes(text string) (opi.Routes, error) {
	if text == "" {
		return opi.Routes{}, nil
	}
	var decoded []httpRoute
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&decoded); err != nil {
		return opi.Routes{}, fmt.Errorf("decode annotation %s: %w", keys.Routes, err)
	}
	var routes opi.Routes
	for _, route := range decoded {
		routes.HTTP = append(routes.HTTP, opi.HTTPRoute{Hostname: route.Hostname, Port: route.Port})
	}
	return routes, nil
}

func annotationBytes(annotations map[string]string) int {
	total := 0
	for key, value := range annotations {
		total += len(key) + len(value)
	}
	return total
}

// fitAnnotations adds record and request to the annotations. What would not fit
// moves compressed into data, the content of the LRP's Secret: first the request,
// which is there for people only, then the egress rules.
func fitAnnotations(annotations map[string]string, r lrpRecord, request string, data map[string][]byte) error {
	add := func(key, value string) bool {
		annotations[key] = value
		if annotationBytes(annotations) <= maxAnnotationBytes {
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
		rules, err := json.Marshal(r.LRP.EgressRules)
		if err != nil {
			return fmt.Errorf("encode egress rules: %w", err)
		}
		if data[secretKeyEgressRules], err = compress(rules); err != nil {
			return err
		}
		r.LRP.EgressRules, r.EgressRulesInSecret = nil, true
		if text, err = r.encode(); err != nil {
			return err
		}
		add(keys.LRP, text)
	}
	if annotations[keys.LRP] == "" {
		return opi.Invalid("userAnnotations", "the LRP's names, routes and annotations have more than %d bytes together", maxAnnotationBytes)
	}
	if request != "" && !add(keys.OriginalRequest, request) {
		if data[secretKeyRequest], err = compress([]byte(request)); err != nil {
			return err
		}
	}
	return nil
}
