package stager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

// missingResult is how long the registry may fail to find a result that was put there.
const missingResult = time.Minute

// maxResultBytes keeps an outcome within the annotation that holds it: all annotations of
// an object share 256 KiB. Real results have some hundred bytes.
const maxResultBytes = 100 << 10

// Decide says what became of a build that has no outcome yet: nil while it is under way.
// It wants to be asked again when the Job or one of its pods changes, and after wait at
// the latest, 0 meaning that time alone changes nothing. An error means that it could not
// be found out and should be tried again.
//
// A build whose outcome is a failure may still run, or be about to; whoever writes the
// outcome down suspends its Job in the same write. Decide changes nothing itself.
func (s *Stager) Decide(ctx context.Context, job *batchv1.Job, pods []*corev1.Pod) (decided *opi.Outcome, wait time.Duration, err error) {
	guid := job.Labels[keys.StagingGUID]
	lifecycle := "buildpack"
	if isRecord(job) {
		lifecycle = "docker"
		decided, wait, err = s.decideImage(ctx, job)
	} else {
		decided, wait, err = s.decideBuild(ctx, job, pods)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("decide build %s: %w", guid, err)
	}
	if decided != nil {
		s.count(job, pods, lifecycle, decided.Reason)
	}
	return decided, wait, nil
}

func (s *Stager) decideBuild(ctx context.Context, job *batchv1.Job, pods []*corev1.Pod) (*opi.Outcome, time.Duration, error) {
	found := s.Settings.judge(job, pods, s.Clock.Now())
	if found.pushed != nil {
		outcome, err := s.result(ctx, found)
		return outcome, 0, err
	}
	if found.failure == nil {
		return nil, found.after, nil
	}
	if found.noPod {
		found.failure = s.whyNoPod(ctx, job, found.failure)
	}
	outcome, err := found.failure.outcome()
	return outcome, 0, err
}

// result reads what push has put into the registry. Everything about it was checked
// there, outside of user code's reach.
func (s *Stager) result(ctx context.Context, found verdict) (*opi.Outcome, error) {
	text, err := s.Results.Result(ctx, found.pushed.Result)
	switch {
	case errors.Is(err, opi.ErrNotFound) && s.Clock.Since(found.pushedAt) > missingResult:
		return failed("internal", stagerError, "The registry has lost the result of staging").outcome()
	case err != nil:
		return nil, fmt.Errorf("read the result: %w", err)
	}
	result, err := steps.ParseResult(text)
	if err == nil {
		text, err = result.Text()
	}
	if err == nil && len(text) > maxResultBytes {
		return failed("output", stagingError, "Staging found more than fits into its result: its start commands and sidecars have %d bytes, more than %d", len(text), maxResultBytes).outcome()
	}
	if err != nil {
		return failed("internal", stagerError, "The result of staging can't be used: %s", err).outcome()
	}
	return success(text)
}

// whyNoPod asks for the Job's Events, which are the only place where the Job controller
// says why it can't make a pod.
func (s *Stager) whyNoPod(ctx context.Context, job *batchv1.Job, known *failure) *failure {
	events, err := s.Client.CoreV1().Events(job.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.uid": string(job.UID), "reason": "FailedCreate"}.String(),
	})
	if err != nil {
		s.Logger.Error("list-events", k8s.Classify(err), lager.Data{"job": job.Name})
		return known
	}
	if len(events.Items) == 0 {
		return known
	}
	told := *known
	told.Message += ": " + events.Items[len(events.Items)-1].Message
	return &told
}

// count counts a build's end once, as far as this process remembers.
func (s *Stager) count(job *batchv1.Job, pods []*corev1.Pod, lifecycle, reason string) {
	if known, _ := s.counted.ContainsOrAdd(job.UID, struct{}{}); known {
		return
	}
	s.metrics.builds.WithLabelValues(lifecycle, reason).Inc()
	result := succeeded
	if reason != succeeded {
		result = "failed"
	}
	took := s.Clock.Since(job.CreationTimestamp.Time)
	s.metrics.seconds.WithLabelValues(lifecycle, result).Observe(took.Seconds())
	data := lager.Data{"staging_guid": job.Labels[keys.StagingGUID], "job": job.Name, "reason": reason, "seconds": took.Seconds()}
	for _, pod := range pods {
		view := podView{pod: pod}
		for _, step := range stepNames {
			ended := view.state(step).Terminated
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
