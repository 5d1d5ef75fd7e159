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

// WhyNoPod asks for the Job's Events, which are the only place where the Job controller
// says why it can't make a pod; empty where it doesn't.
func (s *Store) WhyNoPod(ctx context.Context, job *batchv1.Job) string {
	events, err := s.client.CoreV1().Events(job.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.uid": string(job.UID), "reason": "FailedCreate"}.String(),
	})
	if err != nil {
		s.logger.Error("list-events", fmt.Errorf("find out why Job %s has no pod: %w", job.Name, apierror.Classify(err)), lager.Data{"job": job.Name})
		return ""
	}
	if len(events.Items) == 0 {
		return ""
	}
	return events.Items[len(events.Items)-1].Message
}
