package view

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// Secret is what the view keeps of an LRP's Secret. Its content is never read.
type Secret struct {
	opi.LRPIdentifier
	Name            string
	UID             types.UID
	ResourceVersion string
	// Created is when the API server took the Secret, in whole seconds.
	Created time.Time
	// DesiredAt is when a request last counted on the Secret: the annotation of
	// that name, or Created where it is missing or no time.
	DesiredAt time.Time
	// Owner is the uid of the first owner reference; empty for none.
	Owner types.UID
	// Deleting is whether the object is being deleted, by the API server's word
	// or by a delete of our own that the watch has not confirmed yet.
	Deleting bool
}

func (s *Secret) uid() types.UID                { return s.UID }
func (s *Secret) name() string                  { return s.Name }
func (s *Secret) version() string               { return s.ResourceVersion }
func (s *Secret) identifier() opi.LRPIdentifier { return s.LRPIdentifier }

func (s *Secret) reuse(old *Secret) {
	s.LRPIdentifier = sameIdentifier(s.LRPIdentifier, old.LRPIdentifier)
	s.UID, s.Name = old.UID, same(s.Name, old.Name)
	s.Owner = same(s.Owner, old.Owner)
}

// slimSecret takes metadata only: from the watch, which asks for nothing else,
// or from a Secret of our own writing, whose content it does not look at.
func slimSecret(obj any) (*Secret, error) {
	if slim, ok := obj.(*Secret); ok {
		return slim, nil
	}
	object, ok := obj.(metav1.ObjectMetaAccessor)
	if !ok {
		return nil, fmt.Errorf("expected a Secret's metadata, got %T", obj)
	}
	meta := object.GetObjectMeta()
	secret := &Secret{
		LRPIdentifier:   identifierOf(meta.GetLabels()),
		Name:            meta.GetName(),
		UID:             meta.GetUID(),
		ResourceVersion: meta.GetResourceVersion(),
		Created:         meta.GetCreationTimestamp().Time,
		DesiredAt:       meta.GetCreationTimestamp().Time,
		Deleting:        meta.GetDeletionTimestamp() != nil,
	}
	if at, err := time.Parse(time.RFC3339, meta.GetAnnotations()[keys.DesiredAt]); err == nil {
		secret.DesiredAt = at
	}
	if owners := meta.GetOwnerReferences(); len(owners) > 0 {
		secret.Owner = owners[0].UID
	}
	return secret, nil
}
