package k8s

import (
	"code.cloudfoundry.org/lager/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// reportLeftOutChecks reports, in the log and as an Event, that instances have the first check
// of each kind only.
func (l *LRPs) reportLeftOutChecks(lrp opi.LRP, created *appsv1.StatefulSet) {
	if !render.LeavesOutChecks(lrp) {
		return
	}
	l.logger.Session("desire").Info("checks-left-out", lager.Data{"process_guid": lrp.ProcessGUID(), "statefulset": created.Name})
	l.events.Event(live.Reference(l.view.FromLive(created)), corev1.EventTypeWarning, "ChecksLeftOut",
		"The app has several health checks, and only the first one is made: several ports are checked in apps from droplets.")
}
