package k8s

import (
	"fmt"
	"strconv"
	"strings"

	"code.cloudfoundry.org/lager/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/opi"
)

// reportLeftOut reports, as an Event, the user's annotations that the pods don't have.
func (l *LRPs) reportLeftOut(lrp opi.LRP, created *appsv1.StatefulSet) {
	leftOut := l.settings.UserAnnotations.LeftOut(lrp.UserAnnotations)
	if len(leftOut) == 0 {
		return
	}
	names := quoteSome(leftOut)
	l.logger.Session("desire").Info("annotations-left-out", lager.Data{"process_guid": lrp.ProcessGUID(), "statefulset": created.Name, "annotations": names})
	l.events.Eventf(live.Reference(l.view.FromLive(created)), corev1.EventTypeWarning, "AnnotationsLeftOut",
		"The app's annotations %s are not on its pods: apps.user_annotations does not list them.", names)
}

// quoteSome lists keys for people. It is bounded, because users may send any number of
// keys of any length and an Event's message has at most 1 KiB.
func quoteSome(keys []string) string {
	const most, longest = 5, 150
	var quoted []string
	for _, key := range keys[:min(most, len(keys))] {
		quoted = append(quoted, opi.Shorten(strconv.Quote(key), longest+len("…")))
	}
	text := strings.Join(quoted, ", ")
	if more := len(keys) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
