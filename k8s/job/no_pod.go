package job

import (
	"context"
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/irene-cf/irene/k8s/apierror"
)

// Judge returns what Kubernetes has made of a Job by now, as [Rules.Judge] does. For a Job
// without a pod it adds the reason.
func (s *Store) Judge(ctx context.Context, rules Rules, job *batchv1.Job, pods []Pod) Verdict {
	verdict := rules.Judge(job, pods, s.options.Clock.Now())
	if verdict.End != nil && verdict.End.Cause == NoPod {
		verdict.End.Detail = s.whyNoPod(ctx, job)
	}
	return verdict
}

// whyNoPod reads the Job's Events, which are the only place with the reason why the Job
// controller can't make a pod; empty if there are none.
func (s *Store) whyNoPod(ctx context.Context, job *batchv1.Job) string {
	events, err := s.options.Client.CoreV1().Events(job.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.uid": string(job.UID), "reason": "FailedCreate"}.String(),
	})
	if err != nil {
		s.options.Logger.Error("list-events", fmt.Errorf("find out why Job %s has no pod: %w", job.Name, apierror.Classify(err)), lager.Data{"job": job.Name})
		return ""
	}
	if len(events.Items) == 0 {
		return ""
	}
	return events.Items[len(events.Items)-1].Message
}
