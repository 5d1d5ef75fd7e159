package control

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metalabels "k8s.io/apimachinery/pkg/labels"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// maxEventMessage is the API server's bound of an Event's message.
const maxEventMessage = 1024

// writeEvent tells people with kubectl what was done with an LRP, before it returns: a
// command may end next, with whatever else is in a recorder's queue.
func (r *StackRoll) writeEvent(ctx context.Context, set *appsv1.StatefulSet, kind, reason, message string) {
	about := live.Reference(r.options.View.FromLive(set))
	now := metav1.Now()
	_, err := r.options.Events.Events(about.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: about.Namespace, Name: fmt.Sprintf("%s.%x", about.Name, now.UnixNano())},
		InvolvedObject: *about,
		Type:           kind,
		Reason:         reason,
		Message:        opi.PlainText(message, maxEventMessage),
		Source:         corev1.EventSource{Component: "irene"},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		ReportingController: "irene",
	}, metav1.CreateOptions{})
	if err != nil {
		r.options.Logger.Error("event-not-written", err, lager.Data{"statefulset": about.Name, "reason": reason, "message": message})
	}
}

// whyUnready says which instance an LRP that is being moved waits for, and why.
func (r *StackRoll) whyUnready(ctx context.Context, set *appsv1.StatefulSet) string {
	held := r.options.View.FromLive(set)
	found, err := r.options.Pods.Pods(held.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: metalabels.SelectorFromSet(render.Selector(held.LRPIdentifier)).String(),
	})
	if err != nil {
		return fmt.Sprintf("why could not be found out: %v", err)
	}
	pods := map[int]*corev1.Pod{}
	for i := range found.Items {
		if pod := &found.Items[i]; metav1.IsControlledBy(pod, set) {
			pods[r.options.View.FromLivePod(pod).Index] = pod
		}
	}
	// Kubernetes goes from the highest index down.
	for index := held.Instances + held.Surge - 1; index >= 0; index-- {
		who := fmt.Sprintf("instance %d", index)
		if index >= held.Instances {
			who += ", which is there for the move only,"
		}
		pod := pods[index]
		switch {
		case pod == nil:
			return who + " has no pod; Events of the StatefulSet may say why"
		case pod.DeletionTimestamp != nil:
			return who + " has not ended yet"
		case !podReady(pod):
			return who + " " + unready(r.options.View.FromLivePod(pod))
		case pod.Labels[keys.RootFSVersion] != revisionOf(set):
			return who + " has not been replaced"
		}
	}
	return "Kubernetes has not reported the end of it"
}

// unready says why a pod is not ready.
func unready(pod view.Pod) string {
	container := pod.Container
	last := cmp.Or(container.Terminated, container.LastTermination)
	switch {
	case pod.Node == "" && !pod.Scheduled.True():
		return "has no node: " + cmp.Or(pod.Scheduled.Message, pod.Scheduled.Reason, "it has not been scheduled")
	case last != nil:
		return fmt.Sprintf("ended with status %d (%s) at %s", last.ExitCode, cmp.Or(last.Reason, "no reason given"), last.FinishedAt.UTC().Format(time.RFC3339))
	case container.Waiting != nil:
		return "waits: " + container.Waiting.Reason + ": " + container.Waiting.Message
	case container.Running && !container.Started:
		return "has not passed its startup check"
	}
	return "is not ready"
}
