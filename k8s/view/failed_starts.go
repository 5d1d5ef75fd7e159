package view

import corev1 "k8s.io/api/core/v1"

// maxFailedStarts is how many runs of a container may end before its pod has been ready
// for the first time. After that the instance stays CRASHED while the kubelet starts
// the container again and again: an app whose check takes longer than the kubelet's
// back-off never waits in CrashLoopBackOff, and would be CLAIMED for ever.
const maxFailedStarts = 3

// failedToStart reports whether an instance has failed to start too often and, if so, how
// its last run ended (nil if the status does not tell) and whether that run is known to
// have passed its startup check. It depends on the pod's status alone, so that every
// replica reports the same, also after a restart.
func failedToStart(pod *Pod) (last *Termination, passed, failed bool) {
	if pod.Container.Ready || everReady(pod) {
		return nil, false, false
	}
	count, last, passed := pod.Container.ends()
	return last, passed, count >= maxFailedStarts
}

// everReady reports whether the pod has been ready, as far as its status shows. A kubelet
// sets ContainersReady to False when it sets the pod's start time, and changes the
// condition's time only when the condition turns.
func everReady(pod *Pod) bool {
	if pod.ContainersReady.Status != corev1.ConditionFalse {
		return true
	}
	began := firstTime(pod.Started, pod.Created)
	return pod.ContainersReady.Since.After(began.Add(clockSlack))
}

// ends returns how many runs of the container have ended, how the last of them did (nil if
// the status does not tell) and whether it is known to have passed its startup check.
//
// A status holds the present run, whose number is the restart count, and how the run
// before it ended. While a kubelet waits to start another one, the run that ended last
// stands for both: it keeps its number until the next begins.
func (c *Container) ends() (count int, last *Termination, passed bool) {
	count, last = int(c.RestartCount), c.LastTermination
	switch {
	case c.Terminated != nil:
		return count + 1, c.Terminated, c.Passed
	case c.Waiting != nil && !starting(c.Waiting.Reason) && last != nil && last.Reason != reasonStatusUnknown:
		return count + 1, last, c.Passed
	}
	return count, last, c.LastPassed
}
