package control

import (
	"context"
	"errors"
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// ownSecret makes the StatefulSet the owner of its Secret, so that both go together.
func (c *Companions) ownSecret(ctx context.Context, i identity) (reconcile.Result, error) {
	owner, exists := i.owner()
	if !exists {
		return reconcile.Result{}, nil
	}
	for _, secret := range c.options.View.Secrets(owner.LRPIdentifier) {
		if secret.Name != owner.Secret || secret.Owner == owner.UID || secret.Deleting {
			continue
		}
		patch, err := (live.Patch{Metadata: live.Metadata{
			UID:             secret.UID,
			OwnerReferences: []metav1.OwnerReference{ownerOf(owner).Reference()},
		}}).Encode()
		if err != nil {
			return reconcile.Result{}, err
		}
		patched, err := c.options.Secrets.Secrets(owner.Namespace).Patch(ctx, secret.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			c.options.View.NoteDeletedSecret(secret.UID)
			continue
		}
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("own Secret %s: %w", secret.Name, apierror.Classify(err))
		}
		c.options.View.NoteSecret(patched)
	}
	return reconcile.Result{}, nil
}

// collectSecrets deletes the identity's Secrets that none of its StatefulSets
// refers to, when they are old enough, after a live look, and only if they
// were not touched meanwhile. Secrets that have an owner go with it, by Kubernetes' own
// collector.
func (c *Companions) collectSecrets(ctx context.Context, i identity) (result reconcile.Result, err error) {
	needed := map[string]bool{}
	for _, lrp := range i.twins {
		needed[lrp.Secret] = true
	}
	var errs []error
	for _, secret := range c.options.View.Secrets(i.id) {
		if needed[secret.Name] || secret.Deleting || secret.Owner != "" {
			continue
		}
		if wait := c.options.OrphanMinAge - c.options.Clock.Since(secret.DesiredAt); wait > 0 {
			if result.Again == 0 || wait < result.Again {
				result.Again = wait
			}
			continue
		}
		errs = append(errs, c.collectSecret(ctx, i.id, secret))
	}
	return result, errors.Join(errs...)
}

func (c *Companions) collectSecret(ctx context.Context, id opi.LRPIdentifier, secret view.Secret) error {
	live, err := c.options.StatefulSets.Find(ctx, id)
	if err != nil {
		return fmt.Errorf("collect Secret %s: %w", secret.Name, err)
	}
	for _, lrp := range live {
		if lrp.Secret == secret.Name {
			return nil
		}
	}
	err = c.options.Secrets.Secrets(c.options.Namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: ptr.To(secret.UID), ResourceVersion: ptr.To(secret.ResourceVersion)},
	})
	switch {
	case apierrors.IsConflict(err):
		return nil // counted on again meanwhile; its event brings us back
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("collect Secret %s: %w", secret.Name, apierror.Classify(err))
	}
	c.options.View.NoteDeletedSecret(secret.UID)
	c.metrics.removed.WithLabelValues("secret").Inc()
	c.logger.Info("orphaned-secret-removed", lager.Data{"process_guid": id.ProcessGUID(), "secret": secret.Name})
	return nil
}
