package view

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// LRP is what the view keeps of a StatefulSet.
type LRP struct {
	opi.LRPIdentifier
	// Namespace and Name are the StatefulSet's.
	Namespace, Name string
	UID             types.UID
	ResourceVersion string
	// Created is when the API server took the StatefulSet, in whole seconds.
	Created time.Time
	// Instances is how many instances are desired.
	Instances int
	// AppGUID is the app's guid in Cloud Controller; may be empty.
	AppGUID string
	// Annotation is the caller's opaque annotation, byte for byte.
	Annotation string
	// Routes is the JSON of the routes annotation as it stands on the object.
	Routes string
	// RequestDigest tells whether a repeated request would make the same template.
	RequestDigest string
	// Secret names the Secret that the template refers to; empty for none.
	Secret string
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
	l.AppGUID = same(l.AppGUID, old.AppGUID)
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
	instances := 1
	if set.Spec.Replicas != nil {
		instances = int(*set.Spec.Replicas)
	}
	return &LRP{
		LRPIdentifier:   identifierOf(set.Labels),
		Namespace:       v.namespace,
		Name:            set.Name,
		UID:             set.UID,
		ResourceVersion: set.ResourceVersion,
		Created:         set.CreationTimestamp.Time,
		Instances:       instances,
		AppGUID:         set.Labels[keys.AppGUID],
		Annotation:      set.Annotations[keys.LastUpdated],
		Routes:          set.Annotations[keys.Routes],
		RequestDigest:   set.Annotations[keys.RequestDigest],
		Secret:          set.Annotations[keys.Secret],
		Deleting:        set.DeletionTimestamp != nil,
	}, nil
}

func identifierOf(labels map[string]string) opi.LRPIdentifier {
	return opi.LRPIdentifier{GUID: labels[keys.GUID], Version: labels[keys.Version]}
}
