package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// wire assembles the back end, the controllers and the API. Nothing runs yet:
// background is what run starts and stops.
func wire(_ context.Context, config Configuration, logger lager.Logger, registry *prometheus.Registry) (handler http.Handler, ready func() error, background []func(context.Context) error, err error) {
	clients, err := k8s.NewClients(config.Kubernetes.KubeconfigFile, config.Kubernetes.MaxParallelCalls, registry)
	if err != nil {
		return nil, nil, nil, err
	}
	appsView := view.New(view.Options{
		Client:        clients.Typed,
		Metadata:      clients.Metadata,
		Namespace:     config.Kubernetes.Namespace,
		StaleAfter:    config.Kubernetes.ViewStaleAfter.Duration,
		LostNodeGrace: config.Kubernetes.LostNodeGrace.Duration,
		Registerer:    registry,
		Logger:        logger,
	})
	broadcaster := record.NewBroadcaster()
	lrps := &k8s.LRPs{
		Client:      clients.Typed,
		Metadata:    clients.Metadata,
		View:        appsView,
		Translation: translation(config),
		Users:       imageUsers{bits.NewImageUsers(config.Apps.ImageUserLookupTimeout.Duration)},
		Events:      broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "irene"}),
		Logger:      logger,
		Clock:       clock.RealClock{},
	}
	companions := k8s.NewCompanions(lrps, config.Apps.OrphanMinAge.Duration, registry)
	leading := newLeaderMetric(registry)

	background = []func(context.Context) error{
		appsView.Run,
		func(ctx context.Context) error {
			return RunWhenLeader(ctx, clients.Typed, config, logger, leading, companions.Run)
		},
		func(ctx context.Context) error {
			sink := broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: clients.Typed.CoreV1().Events(config.Kubernetes.Namespace)})
			<-ctx.Done()
			sink.Stop()
			broadcaster.Shutdown()
			return nil
		},
	}
	ready = func() error {
		if !appsView.Synced() {
			return errors.New("the view of the app namespace is not complete yet")
		}
		return nil
	}
	return api.NewHandler(lrps, logger), ready, background, nil
}

func translation(config Configuration) k8s.Translation {
	apps := config.Apps
	return k8s.Translation{
		Namespace: config.Kubernetes.Namespace,
		Registry: k8s.RegistrySettings{
			PullAddress:   config.Registry.PullAddress,
			Prefix:        config.Registry.Prefix,
			StackRevision: config.Registry.StackRevision,
			PullSecret:    config.Registry.PullSecret,
		},
		ServiceAccount:   apps.ServiceAccount,
		DefaultDiskMiB:   apps.DefaultDiskMB,
		TerminationGrace: apps.TerminationGrace.Duration,
		PreStopSleep:     apps.PreStopSleep.Duration,
		UserNamespaces:   apps.UserNamespaces == On,
		Placement: k8s.PlacementSettings{
			NodeLabel:        apps.Placement.NodeLabel,
			SharedUnlabelled: apps.Placement.Shared == SharedUnlabelled,
		},
		Probes: k8s.ProbeSettings{
			LivenessPeriod:    apps.Probes.LivenessPeriod.Duration,
			LivenessFailures:  apps.Probes.LivenessFailures,
			ReadinessPeriod:   apps.Probes.ReadinessPeriod.Duration,
			ReadinessFailures: apps.Probes.ReadinessFailures,
			Timeout:           apps.Probes.Timeout.Duration,
		},
	}
}

// imageUsers brings the registry's answer to the back end.
type imageUsers struct{ registry *bits.ImageUsers }

// User implements k8s.ImageUsers.
func (u imageUsers) User(ctx context.Context, image opi.Image) (k8s.ImageUser, error) {
	user, err := u.registry.Lookup(ctx, image)
	switch {
	case errors.Is(err, bits.ErrUnknownUser):
		return k8s.ImageUser{}, fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image", "%v", err))
	case err != nil:
		return k8s.ImageUser{}, err
	case user.UID != nil && *user.UID == 0:
		return k8s.ImageUser{}, fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image",
			"the image runs as root, which this platform does not allow; give it a USER that is not root"))
	}
	return k8s.ImageUser{UID: user.UID, GID: user.GID}, nil
}
