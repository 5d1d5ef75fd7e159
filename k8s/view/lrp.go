package view

import (
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// LRP is what the view keeps of a StatefulSet.
type LRP struct {
	opi.LRPIdentifier
	// Door is the front door by which the LRP was desired.
	Door opi.Door
	// Namespace and Name are the StatefulSet's.
	Namespace, Name string
	UID             types.UID
	ResourceVersion string
	// Created is when the API server took the StatefulSet, in whole seconds.
	Created time.Time
	// Instances is how many instances are desired.
	Instances int
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
	// RequestDigest tells whether a repeated request would make the same template.
	RequestDigest string
	// Secret names the Secret that the template refers to; empty for none.
	Secret string
	// DiskCrashes is the annotation keys.DiskCrashes as it stands on the object.
	DiskCrashes string
	// Deleting is whether the object is being deleted, by the API server's word
	// or by a delete of our own that the watch has not confirmed yet.
	Deleting bool
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
	_, moving := set.Annotations[keys.StackRoll]
	return &LRP{
		LRPIdentifier:   identifierOf(set.Labels),
		Door:            opi.Door(v.words.word(set.Annotations[keys.Door])),
		Namespace:       v.namespace,
		Name:            set.Name,
		UID:             set.UID,
		ResourceVersion: set.ResourceVersion,
		Created:         set.CreationTimestamp.Time,
		Instances:       replicas - surge,
		Surge:           surge,
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
		RequestDigest:    set.Annotations[keys.RequestDigest],
		Secret:           set.Annotations[keys.Secret],
		DiskCrashes:      set.Annotations[keys.DiskCrashes],
		Deleting:         set.DeletionTimestamp != nil,
	}, nil
}

// surgeOf passes over what is no number, which somebody must have written by hand.
func surgeOf(set *appsv1.StatefulSet, replicas int) int {
	surge, err := strconv.Atoi(set.Annotations[keys.Surge])
	if err != nil {
		return 0
	}
	return min(max(surge, 0), replicas)
}

func identifierOf(labels map[string]string) opi.LRPIdentifier {
	return opi.LRPIdentifier{GUID: labels[keys.GUID], Version: labels[keys.Version]}
}
