package view

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// LRP is what the view keeps of a StatefulSet.
type LRP struct {
	// What lists of all LRPs read comes first, in few cache lines.
	opi.LRPIdentifier
	// Door is the front door by which the LRP was desired.
	Door opi.Door
	// Domain is the LRP's domain; empty for a door without domains.
	Domain string
	// Encoding is of this version of the StatefulSet, and shared by copies of the LRP.
	Encoding *opi.Encoding
	// Secret names the Secret that the template refers to; empty for none.
	Secret string
	// Deleting is whether the object is being deleted, by the API server's word
	// or by a delete of our own that the watch has not confirmed yet.
	Deleting bool
	// Namespace and Name are the StatefulSet's.
	Namespace, Name string
	UID             types.UID
	ResourceVersion string
	// Created is when the API server took the StatefulSet, in whole seconds.
	Created time.Time
	// Instances is how many instances are desired.
	Instances int
	// Awaited is set while the LRP waits for its image to be put into the registry.
	Awaited *AwaitedImage
	// Surge is how many there are beyond those, at the indexes after theirs, while
	// instances are replaced that must not be missed; mostly 0.
	Surge int
	// Moving is whether a roll of its stack has begun with the LRP and not ended.
	Moving bool
	// AppGUID and AppName are the app's in Cloud Controller, as SpaceGUID,
	// SpaceName, OrganizationGUID and OrganizationName are those of its space and
	// organization; each may be empty.
	AppGUID, AppName                   string
	SpaceGUID, SpaceName               string
	OrganizationGUID, OrganizationName string
	// ProcessType is the process's name within the app, exactly.
	ProcessType string
	// IsolationSegment names the routers that serve the LRP; empty for shared.
	IsolationSegment string
	// Annotation is the caller's opaque annotation, byte for byte.
	Annotation string
	// Routes and InternalRoutes are the JSON of the annotations of HTTP and internal
	// routes as it stands on the object; empty where there is none.
	Routes, InternalRoutes string
	// TCPRoutes and OtherRoutes are the JSON of those annotations; empty where there is none.
	TCPRoutes, OtherRoutes string
	// tags hold what MetricTags returns.
	tags tagShape
	// podMetadata is the digest of what PodMetadata returns.
	podMetadata metadataDigest
	// Ports are the ports of the template's first container, separated by commas.
	Ports string
	// Stack is the name of the stack that a buildpack app runs on, Image the reference of a
	// docker app's image; one of them is empty.
	Stack, Image string
	// MemoryMiB and DiskMiB are the limits of the template's first container.
	MemoryMiB, DiskMiB int32
	// MilliCPU is the CPU that the container requests.
	MilliCPU int32
	// PIDs is the recorded bound of processes; 0 for none.
	PIDs int32
	// RequestDigest tells whether a repeated request would make the same template.
	RequestDigest string
	// DiskCrashes is the annotation keys.DiskCrashes as it stands on the object.
	DiskCrashes string
}

func (l *LRP) uid() types.UID                { return l.UID }
func (l *LRP) name() string                  { return l.Name }
func (l *LRP) version() string               { return l.ResourceVersion }
func (l *LRP) identifier() opi.LRPIdentifier { return l.LRPIdentifier }

// reuse takes the strings that a later version has in common with an earlier
// one, so that they are in memory once.
func (l *LRP) reuse(old *LRP) {
	l.LRPIdentifier = sameIdentifier(l.LRPIdentifier, old.LRPIdentifier)
	l.UID, l.Name = old.UID, same(l.Name, old.Name)
	l.Door = same(l.Door, old.Door)
	l.AppGUID, l.AppName = same(l.AppGUID, old.AppGUID), same(l.AppName, old.AppName)
	l.SpaceGUID, l.SpaceName = same(l.SpaceGUID, old.SpaceGUID), same(l.SpaceName, old.SpaceName)
	l.OrganizationGUID = same(l.OrganizationGUID, old.OrganizationGUID)
	l.OrganizationName = same(l.OrganizationName, old.OrganizationName)
	l.ProcessType = same(l.ProcessType, old.ProcessType)
	l.IsolationSegment = same(l.IsolationSegment, old.IsolationSegment)
	l.Secret = same(l.Secret, old.Secret)
}

// olderThan is the twin rule: of two StatefulSets for one identity the earlier
// created stays, and the uid decides within the same second.
func (l *LRP) olderThan(other *LRP) bool {
	if !l.Created.Equal(other.Created) {
		return l.Created.Before(other.Created)
	}
	return l.UID < other.UID
}

func (v *View) slimStatefulSet(obj any) (*LRP, error) {
	if slim, ok := obj.(*LRP); ok {
		return slim, nil
	}
	set, ok := obj.(*appsv1.StatefulSet)
	if !ok {
		return nil, fmt.Errorf("expected a StatefulSet, got %T", obj)
	}
	// Kubernetes' default where the field is not given.
	replicas := 1
	if set.Spec.Replicas != nil {
		replicas = int(*set.Spec.Replicas)
	}
	surge := surgeOf(set, replicas)
	awaited := awaitedImageOf(set)
	if awaited != nil {
		replicas, surge = awaited.Instances, 0
	}
	_, moving := set.Annotations[keys.StackRoll]
	var app corev1.Container
	if containers := set.Spec.Template.Spec.Containers; len(containers) > 0 {
		app = containers[0]
	}
	image := ""
	if set.Annotations[keys.Stack] == "" {
		image = app.Image
	}
	lrp := &LRP{
		LRPIdentifier:   identifierOf(set.Labels),
		Door:            opi.Door(v.words.word(set.Annotations[keys.Door])),
		Namespace:       v.namespace,
		Name:            set.Name,
		UID:             set.UID,
		ResourceVersion: set.ResourceVersion,
		Created:         set.CreationTimestamp.Time,
		Instances:       replicas - surge,
		Surge:           surge,
		Awaited:         awaited,
		Moving:          moving,
		AppGUID:         set.Labels[keys.AppGUID],
		AppName:         set.Annotations[keys.ApplicationName],
		// Many LRPs share these.
		SpaceGUID:        v.words.word(set.Labels[keys.SpaceGUID]),
		SpaceName:        v.words.word(set.Annotations[keys.SpaceName]),
		OrganizationGUID: v.words.word(set.Labels[keys.OrganizationGUID]),
		OrganizationName: v.words.word(set.Annotations[keys.OrganizationName]),
		ProcessType:      v.words.word(set.Annotations[keys.ProcessType]),
		IsolationSegment: v.words.word(set.Annotations[keys.IsolationSegment]),
		Annotation:       set.Annotations[keys.LastUpdated],
		Routes:           set.Annotations[keys.Routes],
		InternalRoutes:   set.Annotations[keys.InternalRoutes],
		TCPRoutes:        set.Annotations[keys.TCPRoutes],
		OtherRoutes:      set.Annotations[keys.OtherRoutes],
		Domain:           v.words.word(set.Labels[keys.Domain]),
		Ports:            v.words.word(portsOf(app)),
		Stack:            v.words.word(set.Annotations[keys.Stack]),
		Image:            v.words.word(image),
		MemoryMiB:        mebibytes(app.Resources.Limits.Memory()),
		DiskMiB:          mebibytes(app.Resources.Limits.StorageEphemeral()),
		MilliCPU:         int32(min(app.Resources.Requests.Cpu().MilliValue(), math.MaxInt32)),
		PIDs:             render.RecordedPIDs(set.Annotations[keys.LRP]),
		RequestDigest:    set.Annotations[keys.RequestDigest],
		Secret:           set.Annotations[keys.Secret],
		DiskCrashes:      set.Annotations[keys.DiskCrashes],
		Deleting:         set.DeletionTimestamp != nil,
		Encoding:         &opi.Encoding{},
	}
	lrp.setMetricTags(set.Annotations[keys.MetricTags])
	lrp.podMetadata = v.metadataFor(lrp, readableTags(set.Annotations[keys.MetricTags]))
	return lrp, nil
}

// surgeOf passes over what is no number, which somebody must have written by hand.
func surgeOf(set *appsv1.StatefulSet, replicas int) int {
	surge, err := strconv.Atoi(set.Annotations[keys.Surge])
	if err != nil {
		return 0
	}
	return min(max(surge, 0), replicas)
}

// RouteTexts returns the texts of all annotations with routes.
func (l *LRP) RouteTexts() opi.RouteTexts {
	return opi.RouteTexts{HTTP: l.Routes, Internal: l.InternalRoutes, TCP: l.TCPRoutes, Other: l.OtherRoutes}
}

// PortList returns the ports of the template's first container.
func (l *LRP) PortList() []int32 {
	if l.Ports == "" {
		return nil
	}
	var ports []int32
	for text := range strings.SplitSeq(l.Ports, ",") {
		port, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			continue // portsOf writes numbers only
		}
		ports = append(ports, int32(port))
	}
	return ports
}

// Modification orders the versions of the LRP.
func (l *LRP) Modification() opi.ModificationTag { return modification(l.UID, l.ResourceVersion) }

// modification returns the tag of an object's version. Resource versions grow with every
// write; of a number beyond 32 bits the lower ones remain.
func modification(uid types.UID, resourceVersion string) opi.ModificationTag {
	index, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		index = 0 // Kubernetes defines resource versions as numbers
	}
	return opi.ModificationTag{Epoch: string(uid), Index: uint32(index)}
}

// portsOf returns the container's ports as a text, which most LRPs have in common.
func portsOf(container corev1.Container) string {
	var text []byte
	for i, port := range container.Ports {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, int64(port.ContainerPort), 10)
	}
	return string(text)
}

// mebibytes rounds down.
func mebibytes(quantity *resource.Quantity) int32 {
	return int32(min(max(quantity.Value()>>20, 0), math.MaxInt32))
}

func identifierOf(labels map[string]string) opi.LRPIdentifier {
	return opi.LRPIdentifier{GUID: labels[keys.GUID], Version: labels[keys.Version]}
}
