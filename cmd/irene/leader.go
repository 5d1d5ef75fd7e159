package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// newLeaderMetric is irene_leader: 1 while this process runs the controllers.
func newLeaderMetric(registry prometheus.Registerer) prometheus.Gauge {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "irene_leader",
		Help: "1 while this replica is the leader and runs the controllers, else 0.",
	})
	registry.MustRegister(gauge)
	return gauge
}

// leaderFeature elects one replica, which does all leading work of the other features.
func (c Configuration) leaderFeature() feature {
	f := feature{
		checks: []area{examineLeader},
		assemble: func(a *assembly) error {
			leading := newLeaderMetric(a.registry)
			a.background = append(a.background, func(ctx context.Context) error {
				return RunWhenLeader(ctx, a.clients.Typed, c, a.logger, leading, together(a.leading))
			})
			return nil
		},
	}
	if c.LeaderElection.Enabled {
		f.permissions = []permission{
			{group: "coordination.k8s.io", resource: "leases", namespace: c.LeaseNamespace(), name: c.LeaderElection.LeaseName, verbs: verbs("get update")},
			{group: "coordination.k8s.io", resource: "leases", namespace: c.LeaseNamespace(), verbs: verbs("create")},
		}
	}
	return f
}

// together returns work that runs all until ctx ends or one part fails.
func together(all []work) work {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range all {
			group.Go(func() error { return run(ctx) })
		}
		return group.Wait()
	}
}

// RunWhenLeader runs work whenever this replica leads, until ctx ends, which is no
// error, or work fails, which is.
//
// work's context ends when leadership is lost, and the next campaign begins only
// after work has returned: two runs never overlap in one process. Over all
// replicas they don't overlap either as long as work ends within lease_duration
// minus renew_deadline of being told. The Lease is handed back after work has
// ended, so that the next leader need not wait. With elections off, work runs
// right away.
func RunWhenLeader(ctx context.Context, client kubernetes.Interface, cfg Configuration, logger lager.Logger, leading prometheus.Gauge, work func(context.Context) error) error {
	if !cfg.LeaderElection.Enabled {
		leading.Set(1)
		defer leading.Set(0)
		return work(ctx)
	}
	identity, err := electionIdentity(cfg.LeaderElection.Identity)
	if err != nil {
		return err
	}
	c := candidate{
		config: cfg.LeaderElection,
		lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: cfg.LeaseNamespace(), Name: cfg.LeaderElection.LeaseName},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		},
		logger:  logger.Session("leader", lager.Data{"identity": identity}),
		leading: leading,
		work:    work,
	}
	for ctx.Err() == nil {
		if again, err := c.campaign(ctx); err != nil || !again {
			return err
		}
	}
	return nil
}

func electionIdentity(configured string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	return replicaName()
}

// replicaName is unique even among restarts on one host: a process that comes
// back must not take the old one's Lease, or its messages, for its own.
func replicaName() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name this replica: %w", err)
	}
	return host + "-" + rand.String(6), nil
}

// candidate stands for election.
type candidate struct {
	config  LeaderElection
	lock    *resourcelock.LeaseLock
	logger  lager.Logger
	leading prometheus.Gauge
	work    func(context.Context) error
}

// campaign waits for the Lease, runs work while it is held, and gives it back. It
// says whether to stand again.
//
// client-go's own release on cancel is not used: it frees the Lease before the
// work is told to end.
func (c *candidate) campaign(ctx context.Context) (again bool, err error) {
	acquired := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name:          c.config.LeaseName,
		Lock:          c.lock,
		LeaseDuration: c.config.LeaseDuration.Duration,
		RenewDeadline: c.config.RenewDeadline.Duration,
		RetryPeriod:   c.config.RetryPeriod.Duration,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) { acquired <- leading },
			OnStoppedLeading: func() {},
			OnNewLeader: func(identity string) {
				c.logger.Info("elected", lager.Data{"leader": identity})
			},
		},
	})
	if err != nil {
		return false, fmt.Errorf("stand for election: %w", err)
	}

	// Renewing goes on until the work has ended, so it can't end with ctx.
	electorCtx, stopElector := context.WithCancel(klog.NewContext(
		context.WithoutCancel(ctx), clientGoLogger(c.logger)))
	defer stopElector()
	electorEnded := make(chan struct{})
	go func() {
		defer close(electorEnded)
		elector.Run(electorCtx)
	}()

	var holding context.Context
	select {
	case holding = <-acquired:
	case <-electorEnded:
		// Lost before it was noticed that it had been won.
		return true, nil
	case <-ctx.Done():
		stopElector()
		<-electorEnded
		c.release(elector)
		return false, nil
	}
	err = c.lead(ctx, holding)
	lost := holding.Err() != nil
	stopElector()
	<-electorEnded
	c.release(elector)
	if errors.Is(err, context.Canceled) && (lost || ctx.Err() != nil) {
		err = nil
	}
	if lost && ctx.Err() == nil {
		// What goes wrong in work that was told to end is no reason to give up.
		c.logger.Info("lost", lager.Data{"work": fmt.Sprint(err)})
		return true, nil
	}
	return false, err
}

// lead runs work until ctx or holding ends.
func (c *candidate) lead(ctx, holding context.Context) error {
	workCtx, stopWork := context.WithCancel(ctx)
	defer stopWork()
	unlink := context.AfterFunc(holding, stopWork)
	defer unlink()
	c.leading.Set(1)
	defer c.leading.Set(0)
	c.logger.Info("leading")
	return c.work(workCtx)
}

// release empties the Lease if it still names this replica. A failure only makes
// the next leader wait for lease_duration.
func (c *candidate) release(elector *leaderelection.LeaderElector) {
	if !elector.IsLeader() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.config.RenewDeadline.Duration)
	defer cancel()
	record, _, err := c.lock.Get(ctx)
	if err == nil && record.HolderIdentity != c.lock.Identity() {
		return
	}
	if err == nil {
		now := metav1.NewTime(time.Now())
		err = c.lock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaseDurationSeconds: 1,
			AcquireTime:          now,
			RenewTime:            now,
			LeaderTransitions:    record.LeaderTransitions,
		})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		c.logger.Error("release-failed", err)
		return
	}
	c.logger.Info("released")
}
