package stager

import (
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
	"github.com/irene-cf/irene/stager/steps"
)

// missingResult is how long the registry may fail to find a result that was put there.
const missingResult = time.Minute

// Decide says what became of a build that has no outcome yet: nil while it is under way.
// It wants to be asked again when the Job or one of its pods changes, and after wait at
// the latest, 0 meaning that time alone changes nothing. An error means that it could not
// be found out and should be tried again.
//
// A build whose outcome is a failure may still run, or be about to; whoever writes the
// outcome down suspends its Job in the same write. Decide changes nothing in Kubernetes; in
// the registry it tags the droplet of a build that succeeded.
func (s *Stager) Decide(ctx context.Context, build *batchv1.Job, pods []*corev1.Pod) (decided *opi.Outcome, wait time.Duration, err error) {
	guid := build.Labels[keys.StagingGUID]
	lifecycle := "buildpack"
	if isRecord(build) {
		lifecycle = "docker"
		decided, wait, err = s.decideImage(ctx, build)
	} else {
		decided, wait, err = s.decideBuild(ctx, build, pods)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("decide build %s: %w", guid, err)
	}
	if decided != nil {
		s.count(build, pods, lifecycle, decided.Reason)
	}
	return decided, wait, nil
}

func (s *Stager) decideBuild(ctx context.Context, build *batchv1.Job, pods []*corev1.Pod) (*opi.Outcome, time.Duration, error) {
	guid := build.Labels[keys.StagingGUID]
	found := s.Settings.judge(build, pods, s.Clock.Now())
	if found.pushed != nil {
		if err := s.tag(ctx, build, *found.pushed); err != nil {
			return nil, 0, err
		}
		outcome, err := s.result(ctx, guid, found)
		return outcome, 0, err
	}
	if found.failure == nil {
		return nil, found.after, nil
	}
	if found.noPod {
		if why := s.jobs.WhyNoPod(ctx, build); why != "" {
			found.failure.Message += ": " + why
		}
	}
	return found.failure.outcome(guid), 0, nil
}

// tag makes the registry find the droplet under its checksums. A manifest that is not there
// or is another's does not fail the build: the droplet can be had from its source again.
func (s *Stager) tag(ctx context.Context, build *batchv1.Job, droplet steps.OutcomeDroplet) error {
	err := s.Results.Tag(ctx, droplet)
	if errors.Is(err, opi.ErrNotFound) || errors.Is(err, opi.ErrRefused) {
		s.Logger.Error("tag-droplet", err, lager.Data{"staging_guid": build.Labels[keys.StagingGUID], "manifest": droplet.Manifest})
		return nil
	}
	if err != nil {
		return fmt.Errorf("tag the droplet: %w", err)
	}
	return nil
}

// result reads what push has put into the registry. Everything about it was checked
// there, outside of user code's reach.
func (s *Stager) result(ctx context.Context, guid string, found verdict) (*opi.Outcome, error) {
	text, err := s.Results.Result(ctx, found.pushed.Result)
	switch {
	case errors.Is(err, opi.ErrNotFound) && s.Clock.Since(found.pushedAt) > missingResult:
		return failed("internal", opi.StagerError, "The registry has lost the result of staging").outcome(guid), nil
	case err != nil:
		return nil, fmt.Errorf("read the result: %w", err)
	}
	result, err := steps.ParseResult(text)
	if err == nil {
		text, err = result.Text()
	}
	if err != nil {
		return failed("internal", opi.StagerError, "The result of staging can't be used: %s", err).outcome(guid), nil
	}
	return success(guid, text, failed("output", opi.StagingError, "Staging found more than fits into its result: its start commands and sidecars have %d KiB, and the limit is about %d KiB",
		len(text)>>10, opi.MaxResultBytes>>10))
}

// count counts a build's end once, as far as this process remembers.
func (s *Stager) count(build *batchv1.Job, pods []*corev1.Pod, lifecycle, reason string) {
	if !s.counted.First(build) {
		return
	}
	s.metrics.builds.WithLabelValues(lifecycle, reason).Inc()
	result := opi.ReasonSucceeded
	if reason != opi.ReasonSucceeded {
		result = "failed"
	}
	took := s.Clock.Since(build.CreationTimestamp.Time)
	s.metrics.seconds.WithLabelValues(lifecycle, result).Observe(took.Seconds())
	data := lager.Data{"staging_guid": build.Labels[keys.StagingGUID], "job": build.Name, "reason": reason, "seconds": took.Seconds()}
	for _, pod := range pods {
		view := job.Pod{Pod: pod}
		for _, step := range stepNames {
			state := view.State(step)
			if state.Waiting != nil && state.Waiting.Message != "" {
				data["kubelet"] = opi.PlainText(state.Waiting.Message, opi.MaxMessageBytes)
			}
			ended := state.Terminated
			if ended == nil {
				continue
			}
			if parsed, ok := outcome(step, ended); ok && parsed.Seconds >= 0 {
				s.metrics.stepSeconds.WithLabelValues(step).Observe(parsed.Seconds)
				data[step+"_seconds"] = parsed.Seconds
			}
		}
	}
	s.Logger.Info("staged", data)
}
