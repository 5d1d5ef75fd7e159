package stager

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/stager/steps"
)

// verdict is what a Job and its pods say of a build. At most one of pushed and failure
// is set; neither means that it is still under way.
type verdict struct {
	// pushed is set when Cloud Controller and registry have the droplet.
	pushed *steps.OutcomeDroplet
	// pushedAt is when that was.
	pushedAt time.Time
	failure  *failure
	// noPod says that the failure is one of making the pod; its Events may know more.
	noPod bool
	// after is when time alone may change the verdict; 0 for never.
	after time.Duration
}

// judge is pure: the same Job, pods and time give the same verdict.
//
// What a step has said about its own end counts most, and its success more than
// anything; then what Irene decided before, then what Kubernetes says.
func (s Settings) judge(build *batchv1.Job, pods []*corev1.Pod, now time.Time) verdict {
	views := job.Pods(pods)
	for _, pod := range views {
		if droplet, at, failure := pushed(pod); droplet != nil || failure != nil {
			return verdict{pushed: droplet, pushedAt: at, failure: failure}
		}
	}
	if because := stopped(build); because != nil {
		return verdict{failure: because}
	}
	for _, pod := range views {
		if failure := failedStep(pod); failure != nil {
			return verdict{failure: failure}
		}
	}
	rules := job.Rules{Containers: stepNames, UserContainer: steps.BuildStep, Limits: s.Limits}
	found := rules.Judge(build, views, now)
	if found.End == nil {
		return verdict{after: found.After}
	}
	return verdict{failure: s.interruption(*found.End), noPod: found.End.Cause == job.NoPod}
}
