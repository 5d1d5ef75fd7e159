package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
)

// contender is one replica that stands for election.
type contender struct {
	leading prometheus.Gauge
	// runs counts how often work has begun.
	runs  atomic.Int32
	stop  context.CancelFunc
	ended chan error
}

// contend stands for election with work that also ends when told to by the test.
func contend(t *testing.T, client *fake.Clientset, identity string, work func(context.Context) error) *contender {
	t.Helper()
	config := DefaultConfiguration()
	config.Kubernetes.Namespace = "apps"
	config.LeaderElection.Identity = identity
	config.LeaderElection.LeaseDuration = Duration{Duration: 2 * time.Second}
	config.LeaderElection.RenewDeadline = Duration{Duration: 400 * time.Millisecond}
	config.LeaderElection.RetryPeriod = Duration{Duration: 50 * time.Millisecond}
	logger, _ := newLog(t)
	ctx, stop := context.WithCancel(context.Background())
	c := &contender{leading: newLeaderMetric(prometheus.NewRegistry()), stop: stop, ended: make(chan error, 1)}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		c.ended <- RunWhenLeader(ctx, client, config, logger, c.leading, func(ctx context.Context) error {
			c.runs.Add(1)
			return work(ctx)
		})
	}()
	t.Cleanup(func() { stop(); <-finished })
	return c
}

func untilTold(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (c *contender) leads() float64 { return valueOf(c.leading) }

func valueOf(gauge prometheus.Gauge) float64 {
	var metric dto.Metric
	if err := gauge.Write(&metric); err != nil {
		panic(err)
	}
	return metric.GetGauge().GetValue()
}

func holder(t *testing.T, client *fake.Clientset) string {
	t.Helper()
	lease, err := client.CoordinationV1().Leases("apps").Get(context.Background(), "irene", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return *lease.Spec.HolderIdentity
}

func TestOneLeadsAndHandsOver(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	finish := make(chan struct{})
	first := contend(t, client, "first", func(ctx context.Context) error {
		<-ctx.Done()
		<-finish
		return nil
	})
	g.Eventually(first.leads).Should(Equal(1.0))
	second := contend(t, client, "second", untilTold)
	g.Consistently(second.leads, "200ms").Should(Equal(0.0))

	first.stop()
	g.Consistently(func() string { return holder(t, client) }, "500ms").Should(Equal("first"), "the Lease is kept until the work has ended")
	close(finish)
	g.Eventually(first.ended).Should(Receive(BeNil()))
	g.Expect(first.leads()).To(Equal(0.0))
	g.Eventually(second.leads, "1500ms").Should(Equal(1.0), "a released Lease need not run out")
	second.stop()
	g.Eventually(second.ended).Should(Receive(BeNil()))
	g.Expect(holder(t, client)).To(BeEmpty())
}

func TestALostLeaderStopsWorkAndStandsAgain(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	var away atomic.Bool
	client.PrependReactor("*", "leases", func(kubetesting.Action) (bool, runtime.Object, error) {
		return away.Load(), nil, errors.New("the API server is away")
	})
	var atOnce, most atomic.Int32
	only := contend(t, client, "only", func(ctx context.Context) error {
		if n := atOnce.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer atOnce.Add(-1)
		<-ctx.Done()
		return errors.New("interrupted")
	})
	g.Eventually(only.leads).Should(Equal(1.0))
	away.Store(true)
	g.Eventually(only.leads, "3s").Should(Equal(0.0))
	away.Store(false)
	g.Eventually(only.leads, "5s").Should(Equal(1.0))
	g.Expect(only.runs.Load()).To(Equal(int32(2)))
	g.Expect(most.Load()).To(Equal(int32(1)))
	g.Expect(only.ended).NotTo(Receive())
}

func TestFailingWorkIsReportedAndTheLeaseReleased(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	broken := contend(t, client, "broken", func(context.Context) error { return errors.New("controller broke") })
	g.Eventually(broken.ended).Should(Receive(MatchError("controller broke")))
	g.Expect(holder(t, client)).To(BeEmpty())
}

func TestACandidateThatNeverLedStops(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	leader := contend(t, client, "leader", untilTold)
	g.Eventually(leader.leads).Should(Equal(1.0))
	other := contend(t, client, "other", untilTold)
	other.stop()
	g.Eventually(other.ended).Should(Receive(BeNil()))
	g.Expect(other.runs.Load()).To(BeZero())
	g.Expect(holder(t, client)).To(Equal("leader"))
}

func TestWithoutElectionWorkJustRuns(t *testing.T) {
	g := NewWithT(t)
	config := DefaultConfiguration()
	config.LeaderElection.Enabled = false
	leading := newLeaderMetric(prometheus.NewRegistry())
	logger, _ := newLog(t)
	err := RunWhenLeader(context.Background(), nil, config, logger, leading, func(context.Context) error {
		g.Expect(valueOf(leading)).To(Equal(1.0))
		return nil
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(valueOf(leading)).To(Equal(0.0))
}

func TestIdentitiesAreUnique(t *testing.T) {
	g := NewWithT(t)
	one, err := electionIdentity("")
	g.Expect(err).NotTo(HaveOccurred())
	two, err := electionIdentity("")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(one).NotTo(Equal(two))
	g.Expect(electionIdentity("named")).To(Equal("named"))
}
