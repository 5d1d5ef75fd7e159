package job_test

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// requested is a Job that was made for a request some time ago.
func requested(request string, age time.Duration) *batchv1.Job {
	made := newJob("guid")
	made.CreationTimestamp = metav1.NewTime(now.Add(-age))
	if request != "" {
		made.Annotations[keys.Request] = request
	}
	return made
}

func TestRequestsForWorkThatIsThere(t *testing.T) {
	answered := requested("one", 10*time.Second)
	answered.Annotations[keys.Outcome], answered.Annotations[keys.OutcomeAnswer] = "{}", "200 2026-03-01T12:00:00Z"
	for name, c := range map[string]struct {
		there   *batchv1.Job
		request string
		exists  bool
	}{
		"the same":                      {requested("one", 10*time.Second), "one", false},
		"the same at the last moment":   {requested("one", 69*time.Second), "one", false},
		"the same too late":             {requested("one", 70*time.Second), "one", true},
		"the same when it has ended":    {answered, "one", false},
		"another one":                   {requested("one", 10*time.Second), "two", true},
		"another one when it has ended": {answered, "two", true},
		"a request of another door":     {requested("", 10*time.Second), "one", true},
		"without identity":              {requested("one", time.Hour), "", false},
		"both without identity":         {requested("", time.Hour), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			store := newWorld(t, []runtime.Object{c.there})
			written, err := store.Desire(t.Context(), "guid", c.request, func(context.Context) (job.Objects, error) {
				t.Error("nothing is to be made")
				return job.Objects{}, nil
			})
			g.Expect(written).To(BeFalse())

			// Another replica has written the Job since this one looked for it.
			late := newWorld(t, nil)
			_, lateErr := late.Desire(t.Context(), "guid", c.request, func(ctx context.Context) (job.Objects, error) {
				_, err := late.client.BatchV1().Jobs("cf-apps").Create(ctx, c.there, metav1.CreateOptions{})
				return job.Objects{Job: requested(c.request, 0)}, err
			})
			if c.exists {
				g.Expect(err).To(MatchError(opi.ErrExists))
				g.Expect(lateErr).To(MatchError(opi.ErrExists))
			} else {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(lateErr).NotTo(HaveOccurred())
			}
		})
	}
}

func TestARequestThatBrokeOffMayBeSentAgain(t *testing.T) {
	g := NewWithT(t)
	store := newWorld(t, nil)
	for range 2 {
		_, err := store.Desire(t.Context(), "guid", "one", func(context.Context) (job.Objects, error) {
			return job.Objects{Job: requested("one", 0)}, nil
		})
		g.Expect(err).NotTo(HaveOccurred())
	}
}
