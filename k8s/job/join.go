package job

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// retryWindow is how long Cloud Controller may send one request again: for 60 s after the first
// attempt, and the last one takes up to 10 s (contract/bbs.md 1.1).
const retryWindow = 70 * time.Second

// join returns nil if a request for work may succeed although its Job is there already: it
// has no identity, or it is the one that the Job was made for, sent again because its
// answer was lost. The state of the Job does not matter, since the work may end before that.
// The error wraps opi.ErrExists.
func (s *Store) join(job *batchv1.Job, request string) error {
	if request == "" {
		return nil
	}
	isSame := job.Annotations[keys.Request] == request
	age := s.Now().Sub(job.CreationTimestamp.Time)
	if isSame && age < retryWindow {
		return nil
	}
	return fmt.Errorf("%s %s: Job %s is %s old (of the same request: %t): %w", s.options.Kind.Name, job.Labels[keys.GUID], job.Name, age.Round(time.Second), isSame, opi.ErrExists)
}
