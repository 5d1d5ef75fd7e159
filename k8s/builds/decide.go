package builds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
	"github.com/irene-cf/irene/stager/steps"
)

// missingResult is how long the registry may fail to find a result that was put there.
const missingResult = time.Minute

// Decide returns what became of a build that has no outcome yet: nil while it is under way.
// The caller repeats it when the Job or one of its pods changes, and after wait at the
// latest, where 0 means that time alone changes nothing. An error means that it could not
// be found out and should be tried again.
//
// A build whose outcome is a failure may still run, or be about to; the caller that writes
// the outcome down suspends its Job in the same write. Decide changes nothing in Kubernetes; in
// the registry it tags the droplet of a build that succeeded.
func (b *Builds) Decide(ctx context.Context, build *batchv1.Job, pods []*corev1.Pod) (decided *opi.Outcome, wait time.Duration, err error) {
	guid := build.Labels[keys.StagingGUID]
	views, lifecycle := job.Pods(pods), "buildpack"
	if isRecord(build) {
		lifecycle = "docker"
		decided, wait, err = b.decideImage(ctx, build)
	} else {
		decided, wait, err = b.decideBuild(ctx, build, views)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("decide build %s: %w", guid, err)
	}
	if decided != nil {
		b.count(build, views, lifecycle, decided.Reason)
	}
	return decided, wait, nil
}

// decideBuild regards the success of push most, then what Irene decided before, then how
// other steps ended, and then what Kubernetes has made of the build.
func (b *Builds) decideBuild(ctx context.Context, build *batchv1.Job, pods []job.Pod) (*opi.Outcome, time.Duration, error) {
	guid := build.Labels[keys.StagingGUID]
	droplet, pushedAt, failure := pushed(pods)
	if droplet != nil {
		if err := b.tag(ctx, build, *droplet); err != nil {
			return nil, 0, err
		}
		outcome, err := b.result(ctx, guid, *droplet, pushedAt)
		return outcome, 0, err
	}
	if failure == nil {
		failure = cmp.Or(stopped(build), failedStep(pods))
	}
	if failure == nil {
		settings := b.options.Settings
		found := b.jobs.Judge(ctx, job.Rules{Containers: stepNames, UserContainer: steps.BuildStep, Limits: settings.Limits}, build, pods)
		if found.End == nil {
			return nil, found.After, nil
		}
		failure = settings.interruption(*found.End, build)
	}
	return failure.Outcome(guid), 0, nil
}

// tag makes the registry find the droplet under its checksums. A manifest that is not there
// or is another's does not fail the build: the droplet can be had from its source again.
func (b *Builds) tag(ctx context.Context, build *batchv1.Job, droplet steps.OutcomeDroplet) error {
	err := b.options.Results.Tag(ctx, droplet)
	if errors.Is(err, opi.ErrNotFound) || errors.Is(err, opi.ErrRefused) {
		b.logger.Error("tag-droplet", err, lager.Data{"staging_guid": build.Labels[keys.StagingGUID], "manifest": droplet.Manifest})
		return nil
	}
	if err != nil {
		return fmt.Errorf("tag the droplet: %w", err)
	}
	return nil
}

// result reads what push has put into the registry.
func (b *Builds) result(ctx context.Context, guid string, droplet steps.OutcomeDroplet, pushedAt time.Time) (*opi.Outcome, error) {
	text, err := b.options.Results.Result(ctx, droplet.Result)
	switch {
	case errors.Is(err, opi.ErrNotFound) && b.jobs.Now().Sub(pushedAt) > missingResult:
		return stager.Failed("internal", opi.StagerError, "The registry has lost the result of staging").Outcome(guid), nil
	case err != nil:
		return nil, fmt.Errorf("read the result: %w", err)
	}
	return stager.ResultOutcome(guid, text)
}

// count counts a build's end once, as far as this process remembers.
func (b *Builds) count(build *batchv1.Job, pods []job.Pod, lifecycle, reason string) {
	took, data := map[string]float64{}, lager.Data{}
	for _, pod := range pods {
		for i, step := range stepNames {
			if waiting := pod.State(step).Waiting; waiting != nil && waiting.Message != "" {
				data["kubelet"] = opi.PlainText(waiting.Message, opi.MaxMessageBytes)
			}
			end := stepEnd(pod, i)
			if end == nil {
				continue
			}
			if seconds, ok := end.Seconds(); ok {
				took[step], data[step+"_seconds"] = seconds, seconds
			}
		}
	}
	if !b.jobs.CountEnd(build, reason, data, lifecycle) {
		return
	}
	for step, seconds := range took {
		b.metrics.stepSeconds.WithLabelValues(step).Observe(seconds)
	}
}
