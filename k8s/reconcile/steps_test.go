package reconcile

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestStepsRunInOrder(t *testing.T) {
	g := NewWithT(t)
	var ran []string
	step := func(name string, result Result, err error) Step[int] {
		return Step[int]{Name: name, Run: func(_ context.Context, subject int) (Result, error) {
			g.Expect(subject).To(Equal(7))
			ran = append(ran, name)
			return result, err
		}}
	}
	fault := errors.New("fault")
	registry := prometheus.NewRegistry()
	steps := NewSteps("tests", registry,
		step("first", Result{Again: time.Minute}, nil),
		step("second", Result{}, fault),
		step("third", Result{Again: time.Second}, nil),
		step("fourth", Result{Again: time.Hour, Last: true}, errors.New("another fault")),
		step("fifth", Result{}, nil),
	)
	again, err := steps.Run(t.Context(), 7)
	g.Expect(ran).To(Equal([]string{"first", "second", "third", "fourth"}))
	g.Expect(again).To(Equal(time.Second), "the shortest")
	g.Expect(err).To(MatchError("second: fault\nfourth: another fault"))
	g.Expect(err).To(MatchError(fault))
	g.Expect(testutil.ToFloat64(steps.failures.WithLabelValues("second"))).To(Equal(1.0))
	g.Expect(testutil.ToFloat64(steps.failures.WithLabelValues("third"))).To(BeZero())
	g.Expect(testutil.GatherAndCount(registry, "irene_reconcile_step_failures_total")).To(Equal(5))

	NewSteps("others", registry, step("first", Result{}, nil))
	g.Expect(testutil.GatherAndCount(registry, "irene_reconcile_step_failures_total")).To(Equal(6))
	NewSteps("without metrics", nil, step("first", Result{}, nil))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = steps.Run(ended, 7)
	g.Expect(err).To(HaveOccurred())
	g.Expect(testutil.ToFloat64(steps.failures.WithLabelValues("second"))).To(Equal(1.0), "an end is no failure")
}
