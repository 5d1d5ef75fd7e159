package k8s

import (
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// Desire makes sure that the LRP exists. It writes at most one Secret and then the
// StatefulSet, the commit point: an interrupted Desire leaves at the most a Secret
// that nobody refers to, which Companions collects.
//
// An LRP that exists is brought to the desired instances, routes, annotation and metric tags;
// its template stays, even if the request would make another one. It belongs to the door by
// which it was desired last, so that a foundation can move from one to the other without a
// restart.
func (l *LRPs) Desire(ctx context.Context, lrp opi.LRP) error {
	return l.desireWith(ctx, lrp, l.resolveImage)
}

// Accept does what Desire does, but waits for no image: an LRP whose image is not in the
// registry exists without replicas until package control has put it there. Instances shows
// why that fails.
func (l *LRPs) Accept(ctx context.Context, lrp opi.LRP) error {
	return l.desireWith(ctx, lrp, l.findImage)
}

// resolver returns what must be known of an LRP's image, and whether the image is yet to be
// put into the registry.
type resolver func(context.Context, opi.LRP) (image render.ResolvedImage, awaited bool, err error)

func (l *LRPs) desireWith(ctx context.Context, lrp opi.LRP, resolve resolver) error {
	for range attempts {
		err := l.desire(ctx, lrp, resolve)
		if !errors.Is(err, live.ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("desire LRP %s: %w, and again after each of %d attempts: %w", lrp, live.ErrChanged, attempts, opi.ErrUnavailable)
}

func (l *LRPs) desire(ctx context.Context, lrp opi.LRP, resolve resolver) error {
	existing, err := l.findToDesire(ctx, lrp.LRPIdentifier)
	switch {
	case err == nil:
		return l.desireAgain(ctx, existing, lrp, resolve)
	case !errors.Is(err, opi.ErrNotFound):
		return fmt.Errorf("desire LRP %s: %w", lrp, err)
	}
	return l.create(ctx, lrp, resolve)
}

// busyWatch is how recently the watch of StatefulSets must have told something for a
// miss in the view to be believed.
const busyWatch = time.Second

// findToDesire is find, except that it believes a miss while the watch is busy. In a
// mass start the live list would cost more than the write (the API server looks at
// every StatefulSet to find one by label) and almost never finds anything: an LRP of
// the same name is found by the create, and one that another replica made within the
// last second under another name becomes a twin, which Companions removes.
func (l *LRPs) findToDesire(ctx context.Context, id opi.LRPIdentifier) (view.LRP, error) {
	if _, known := l.view.LRP(id); !known && l.view.Current(view.StatefulSets, busyWatch) {
		return view.LRP{}, fmt.Errorf("find LRP %s: %w", id, opi.ErrNotFound)
	}
	return l.find(ctx, id)
}

func (l *LRPs) create(ctx context.Context, lrp opi.LRP, resolve resolver) error {
	image, awaited, err := resolve(ctx, lrp)
	if err != nil {
		return fmt.Errorf("desire LRP %s: %w", lrp, err)
	}
	key, err := l.digestKey(ctx)
	if err != nil {
		return fmt.Errorf("desire LRP %s: %w", lrp, err)
	}
	secret, statefulSet, err := l.settings.LRP(lrp, image, lrp.OriginalRequest, key)
	if err != nil {
		return fmt.Errorf("desire LRP %s: %w", lrp, err)
	}
	if awaited {
		if err := awaitImage(statefulSet, lrp.Instances); err != nil {
			return fmt.Errorf("desire LRP %s: %w", lrp, err)
		}
	}
	if secret != nil {
		if err := l.writeSecret(ctx, secret); err != nil {
			return fmt.Errorf("desire LRP %s: %w", lrp, err)
		}
	}
	created, err := l.statefulSets().Create(ctx, statefulSet, metav1.CreateOptions{})
	switch {
	case err == nil:
		l.view.NoteStatefulSet(created)
		l.reportLeftOut(lrp, created)
		l.reportLeftOutChecks(lrp, created)
		return nil
	case apierrors.IsAlreadyExists(err):
		return l.nameTaken(ctx, lrp, statefulSet.Name)
	default:
		return fmt.Errorf("desire LRP %s: create StatefulSet %s: %w", lrp, statefulSet.Name, apierror.Classify(err))
	}
}

// awaitImage makes a StatefulSet one without replicas until its image is in the registry.
func awaitImage(set *appsv1.StatefulSet, instances int) error {
	text, err := view.AwaitedImage{Instances: instances}.Encode()
	if err != nil {
		return err
	}
	set.Annotations[keys.AwaitedImage] = text
	set.Spec.Replicas = ptr.To(int32(0))
	return nil
}

// nameTaken decides what it means that the StatefulSet's name is taken: mostly that
// somebody desired the same LRP at the same time.
func (l *LRPs) nameTaken(ctx context.Context, lrp opi.LRP, name string) error {
	taken, err := l.statefulSets().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return live.ErrChanged
	}
	if err != nil {
		return fmt.Errorf("desire LRP %s: %w", lrp, apierror.Classify(err))
	}
	switch {
	case taken.DeletionTimestamp != nil:
		return fmt.Errorf("desire LRP %s: StatefulSet %s is still being deleted: %w", lrp, name, opi.ErrUnavailable)
	case taken.Annotations[keys.ProcessGUID] != lrp.ProcessGUID():
		return opi.WithMessage(fmt.Errorf("desire LRP %s: %w: the name %s belongs to a StatefulSet that is not this LRP's", lrp, opi.ErrRefused, name), "%s", apierror.NameTaken)
	}
	if !isSubset(render.Selector(lrp.LRPIdentifier), taken.Labels) {
		if taken, err = l.relabel(ctx, taken, render.Selector(lrp.LRPIdentifier)); err != nil {
			return fmt.Errorf("desire LRP %s: %w", lrp, err)
		}
	}
	l.view.NoteStatefulSet(taken)
	return live.ErrChanged
}

// relabel gives a StatefulSet the labels back by which it is found, after somebody
// has taken them away.
func (l *LRPs) relabel(ctx context.Context, taken *appsv1.StatefulSet, wanted map[string]string) (*appsv1.StatefulSet, error) {
	patch, err := live.Patch{Metadata: live.Metadata{UID: taken.UID, Labels: wanted}}.Encode()
	if err != nil {
		return nil, err
	}
	patched, err := l.statefulSets().Patch(ctx, taken.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, fmt.Errorf("give StatefulSet %s its labels back: %w", taken.Name, apierror.Classify(err))
	}
	return patched, nil
}

func isSubset(part, whole map[string]string) bool {
	for key, value := range part {
		if whole[key] != value {
			return false
		}
	}
	return true
}

// writeSecret creates the Secret, or finds it there: its name says its content. One
// that is there may be an orphan about to be collected, so it is marked as counted
// on, which changes the resource version that the collector insists on. Labels are
// set again, since the view does not see a Secret that has lost them.
func (l *LRPs) writeSecret(ctx context.Context, secret *corev1.Secret) error {
	secrets := l.client.CoreV1().Secrets(secret.Namespace)
	now := l.clock.Now().UTC().Format(time.RFC3339)
	secret.Annotations = map[string]string{keys.DesiredAt: now}
	written, err := secrets.Create(ctx, secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		patch, patchErr := live.Patch{Metadata: live.Metadata{Labels: secret.Labels, Annotations: map[string]*string{keys.DesiredAt: &now}}}.Encode()
		if patchErr != nil {
			return patchErr
		}
		written, err = secrets.Patch(ctx, secret.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			return live.ErrChanged
		}
	}
	if err != nil {
		return fmt.Errorf("write Secret %s: %w", secret.Name, apierror.Classify(err))
	}
	if written.DeletionTimestamp != nil {
		return fmt.Errorf("write Secret %s: it is still being deleted: %w", secret.Name, opi.ErrUnavailable)
	}
	l.view.NoteSecret(written)
	return nil
}

// desireAgain handles a request for an LRP that exists.
func (l *LRPs) desireAgain(ctx context.Context, existing view.LRP, lrp opi.LRP, resolve resolver) error {
	if l.view.SecretMissing(existing) {
		gone, err := l.secretGone(ctx, existing)
		if err != nil {
			return fmt.Errorf("desire LRP %s: %w", lrp, err)
		}
		if gone {
			return l.restore(ctx, existing, lrp, resolve)
		}
	}
	key, err := l.digestKey(ctx)
	if err != nil {
		return fmt.Errorf("desire LRP %s: %w", lrp, err)
	}
	same, err := key.SameRequest(existing.RequestDigest, lrp)
	if err != nil {
		return err
	}
	if !same {
		l.logger.Session("desire").Info("template-kept", lager.Data{"process_guid": lrp.ProcessGUID(), "statefulset": existing.Name})
		l.events.Event(live.Reference(existing), corev1.EventTypeNormal, "TemplateKept",
			"The LRP was desired again with other settings; a running LRP keeps the settings it was first desired with. Restart the app for the new ones.")
	}
	update, err := updateTo(lrp, existing)
	if err != nil {
		return fmt.Errorf("desire LRP %s: %w", lrp, err)
	}
	if update == (opi.LRPUpdate{}) {
		return nil
	}
	return l.patch(ctx, existing, update)
}

// updateTo returns the update that brings what exists to the desired instances, routes,
// annotation and metric tags; it has only what differs.
func updateTo(lrp opi.LRP, existing view.LRP) (opi.LRPUpdate, error) {
	wanted := lrp.Changeable()
	changes, err := render.ChangesFor(wanted)
	if err != nil {
		return opi.LRPUpdate{}, err
	}
	present := updatedAnnotations(existing)
	var update opi.LRPUpdate
	if existing.Instances != lrp.Instances {
		update.Instances = &lrp.Instances
	}
	if changes.Changes(present, keys.Routes) {
		update.Routes.HTTP = wanted.Routes.HTTP
	}
	if changes.Changes(present, keys.InternalRoutes) {
		update.Routes.Internal = wanted.Routes.Internal
	}
	if changes.Changes(present, keys.TCPRoutes) {
		update.Routes.TCP = wanted.Routes.TCP
	}
	if changes.Changes(present, keys.OtherRoutes) {
		update.Routes.Other = wanted.Routes.Other
	}
	if changes.Changes(present, keys.MetricTags) {
		update.MetricTags = wanted.MetricTags
	}
	if changes.Changes(present, keys.LastUpdated) {
		update.Annotation = wanted.Annotation
	}
	if existing.Door != lrp.Door {
		update.Door = &lrp.Door
	}
	if existing.Domain != lrp.Domain && lrp.Domain != "" {
		update.Domain = &lrp.Domain
	}
	return update, nil
}

// secretGone asks the API server, since the view of Secrets may lag behind the
// view of StatefulSets. A Secret without the label by which the view selects counts
// as gone: writing it again brings the label back.
func (l *LRPs) secretGone(ctx context.Context, existing view.LRP) (bool, error) {
	secret, err := l.metadata.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).
		Namespace(existing.Namespace).Get(ctx, existing.Secret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for Secret %s: %w", existing.Secret, apierror.Classify(err))
	}
	return secret.Labels[keys.SourceType] != keys.SourceTypeApp, nil
}

// restore mends an LRP whose Secret is gone. If the request has the same secret
// values the Secret is written again; otherwise the LRP can't run as it was desired
// and is made anew.
func (l *LRPs) restore(ctx context.Context, existing view.LRP, lrp opi.LRP, resolve resolver) error {
	image, _, err := resolve(ctx, lrp)
	if err != nil {
		return fmt.Errorf("restore LRP %s: %w", lrp, err)
	}
	key, err := l.digestKey(ctx)
	if err != nil {
		return fmt.Errorf("restore LRP %s: %w", lrp, err)
	}
	secret, _, err := l.settings.LRP(lrp, image, lrp.OriginalRequest, key)
	if err != nil {
		return fmt.Errorf("restore LRP %s: %w", lrp, err)
	}
	l.logger.Session("desire").Info("secret-was-gone", lager.Data{"process_guid": lrp.ProcessGUID(), "statefulset": existing.Name})
	if secret != nil && key.SameSecret(existing.Secret, existing.Name, secret) {
		// The template refers to it by the name that it had.
		secret.Name = existing.Secret
		if err := l.writeSecret(ctx, secret); err != nil {
			return fmt.Errorf("restore LRP %s: %w", lrp, err)
		}
		return live.ErrChanged
	}
	if err := l.sets.Delete(ctx, existing); err != nil {
		return fmt.Errorf("restore LRP %s: %w", lrp, err)
	}
	return l.create(ctx, lrp, resolve)
}
