package view

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// The Note functions lay our own writes over the view until the watch has caught
// up with them. They take the object as the API server answered, with its uid and
// resource version; the view keeps no reference to it. Objects of other
// namespaces, or without the label by which the view selects, are passed over,
// because the watch would never tell what becomes of them.
//
// NoteDeleted functions take the uid of an object that the API server agreed to
// delete. The object reads as being deleted from then on, until the watch confirms
// that it is gone or ten minutes have passed.

// NoteStatefulSet takes a StatefulSet that was created, updated or patched.
func (v *View) NoteStatefulSet(set *appsv1.StatefulSet) {
	if slim, err := v.slimStatefulSet(set); err == nil && v.selects(set) {
		v.lrps.note(slim)
	}
}

// NoteDeletedStatefulSet takes the uid of a StatefulSet that was deleted.
func (v *View) NoteDeletedStatefulSet(uid types.UID) { v.lrps.noteDeleted(uid) }

// NoteSecret takes a Secret that was created, updated or patched. Of its content
// nothing is kept.
func (v *View) NoteSecret(secret *corev1.Secret) { v.NoteSecretMetadata(secret) }

// NoteSecretMetadata is NoteSecret for what the metadata client answers.
func (v *View) NoteSecretMetadata(secret metav1.Object) {
	if slim, err := slimSecret(secret); err == nil && v.selects(secret) {
		v.secrets.note(slim)
	}
}

// NoteDeletedSecret takes the uid of a Secret that was deleted.
func (v *View) NoteDeletedSecret(uid types.UID) { v.secrets.noteDeleted(uid) }

// NoteBudget takes a PodDisruptionBudget that was created, updated or patched.
func (v *View) NoteBudget(budget *policyv1.PodDisruptionBudget) {
	if slim, err := slimBudget(budget); err == nil && v.selects(budget) {
		v.budgets.note(slim)
	}
}

// NoteDeletedBudget takes the uid of a PodDisruptionBudget that was deleted.
func (v *View) NoteDeletedBudget(uid types.UID) { v.budgets.noteDeleted(uid) }

// NotePod takes a pod that was patched.
func (v *View) NotePod(pod *corev1.Pod) {
	if slim, err := v.slimPod(pod); err == nil && v.selects(pod) {
		v.pods.note(slim)
	}
}

// NoteDeletedPod takes the uid of a pod that was deleted, gracefully or not.
func (v *View) NoteDeletedPod(uid types.UID) { v.pods.noteDeleted(uid) }

func (v *View) selects(object metav1.Object) bool {
	return object.GetNamespace() == v.namespace && appObjects.Matches(labels.Set(object.GetLabels()))
}
