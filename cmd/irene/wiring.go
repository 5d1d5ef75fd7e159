package main

import (
	"context"
	"errors"
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/events"
	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
	"github.com/irene-cf/irene/platform"
	"github.com/irene-cf/irene/route"
	routenats "github.com/irene-cf/irene/route/nats"
)

// parts are what a process is made of. Nothing runs yet.
type parts struct {
	api door
	// ready and emitterReady are what the health port tells; nil means ready.
	ready, emitterReady func() error
	// background is what run starts and stops.
	background []func(context.Context) error
}

// wire assembles the back end, the controllers, the emitter and the API.
func wire(config Configuration, logger lager.Logger, registry *prometheus.Registry) (parts, error) {
	clients, err := k8s.NewClients(config.Kubernetes.KubeconfigFile, config.Kubernetes.MaxParallelCalls, registry)
	if err != nil {
		return parts{}, err
	}
	users, err := newImageUsers(config, logger)
	if err != nil {
		return parts{}, err
	}
	appsView := newView(config, clients, logger, registry)
	apps := renderSettings(config)
	requests := platform.NewMetrics(registry)
	images, err := newAppImages(config, requests, logger, registry)
	if err != nil {
		return parts{}, err
	}
	broadcaster := record.NewBroadcaster()
	shared := controlOptions(config, clients, appsView, logger)
	shared.Events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "irene"})
	shared.Registerer = registry
	lrps := k8s.New(k8s.Options{
		Client: clients.Typed, Metadata: clients.Metadata, View: appsView, StatefulSets: shared.StatefulSets,
		Settings: apps, Images: images, Users: imageUsers{users}, Events: shared.Events, Logger: logger,
	})
	lostNodes := control.LostNodesOptions{
		Options: shared, Grace: config.Kubernetes.LostNodeGrace.Duration, PodsWithClaims: config.Kubernetes.ReplacePodsWithClaims,
	}
	crashBackoff := control.CrashBackoffOptions{Options: shared}
	var whenLeading []func(context.Context) error
	cloudController, err := newCloudController(config, requests, logger, registry)
	if err != nil {
		return parts{}, err
	}
	if config.CloudController.URL != "" {
		reports, rescheduled, err := newInstanceReports(config, control.NewInstanceRecords(shared), cloudController, logger, registry)
		if err != nil {
			return parts{}, err
		}
		crashBackoff.Observe, lostNodes.Rescheduled = reports.Observe, rescheduled
		whenLeading = append(whenLeading, reports.Run)
	} else {
		logger.Info("instances-are-not-reported", lager.Data{"reason": "cloud_controller.url is empty"})
	}
	companions := control.NewCompanions(control.CompanionsOptions{Options: shared, OrphanMinAge: config.Apps.OrphanMinAge.Duration})
	whenLeading = append(whenLeading, companions.Run, control.NewLostNodes(lostNodes).Run, control.NewCrashBackoff(crashBackoff).Run)
	var imageWork []func(context.Context) error
	tasks := newTasks(config, clients, lrps, logger, registry)
	kinds := map[string]events.Decider{keys.SourceTypeTask: tasks}
	whenLeading = append(whenLeading, tasks.Sweep)
	var builds api.Builds = noBuilds{}
	if assembled, yes := images.(assembledImages); yes {
		imageWork = []func(context.Context) error{assembled.stacks.Run, assembled.assembler.Run}
		whenLeading = append(whenLeading, control.NewLostImages(control.LostImagesOptions{Options: shared, Images: assembled, Registry: apps.Registry}).Run)
		if config.Staging.Enabled {
			mounted, err := newBuildpackImages(config, assembled.registry, logger, registry)
			if err != nil {
				return parts{}, fmt.Errorf("images of buildpacks: %w", err)
			}
			if mounted != nil {
				imageWork = append(imageWork, mounted.Run)
			}
			staging, err := newStager(config, clients, assembled, mounted, users, apps, logger, registry)
			if err != nil {
				return parts{}, err
			}
			builds, kinds[keys.SourceTypeStaging] = staging, staging
			whenLeading = append(whenLeading, staging.Sweep)
		}
	}
	reports, err := newOutcomeReports(config, clients, cloudController, kinds, logger, registry)
	if err != nil {
		return parts{}, err
	}
	whenLeading = append(whenLeading, reports.Run)
	if config.Registry.PullUsernameFile != "" {
		pullSecret, err := newPullSecret(config, clients, logger)
		if err != nil {
			return parts{}, err
		}
		whenLeading = append(whenLeading, pullSecret.Run)
	}
	p := parts{
		api: door{
			Handler: api.NewHandler(api.Options{LRPs: lrps, Builds: builds, Tasks: tasks, Refusals: opi.NewRefusals(), Logger: logger}),
			fault:   api.WriteFault,
		},
		ready: func() error {
			if !appsView.Synced() {
				return errors.New("the view of the app namespace is not complete yet")
			}
			return nil
		},
		background: []func(context.Context) error{
			appsView.Run,
			func(ctx context.Context) error {
				sink := broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: clients.Typed.CoreV1().Events(config.Kubernetes.Namespace)})
				<-ctx.Done()
				sink.Stop()
				broadcaster.Shutdown()
				return nil
			},
		},
	}

	p.background = append(p.background, imageWork...)

	if len(config.NATS.Servers) > 0 {
		emitter, err := newEmitter(config, newRouteView(appsView, logger), logger)
		if err != nil {
			return parts{}, err
		}
		registry.MustRegister(emitter)
		p.emitterReady = emitter.Connected
		p.background = append(p.background, emitter.Run)
		whenLeading = append(whenLeading, emitter.Lead)
	} else {
		logger.Info("routes-are-not-published", lager.Data{"reason": "nats.servers is empty"})
		p.emitterReady = func() error { return errors.New("routes are not published: nats.servers is empty") }
	}

	leading := newLeaderMetric(registry)
	p.background = append(p.background, func(ctx context.Context) error {
		return RunWhenLeader(ctx, clients.Typed, config, logger, leading, together(whenLeading))
	})
	return p, nil
}

// newView returns a view of the app namespace that is not fed yet.
func newView(config Configuration, clients k8s.Clients, logger lager.Logger, metrics prometheus.Registerer) *view.View {
	return view.New(view.Options{
		Client:        clients.Typed,
		Metadata:      clients.Metadata,
		Namespace:     config.Kubernetes.Namespace,
		StaleAfter:    config.Kubernetes.ViewStaleAfter.Duration,
		LostNodeGrace: config.Kubernetes.LostNodeGrace.Duration,
		Registerer:    metrics,
		Logger:        logger,
	})
}

// controlOptions returns what all controllers work with, without Events and metrics.
func controlOptions(config Configuration, clients k8s.Clients, appsView *view.View, logger lager.Logger) control.Options {
	namespace := config.Kubernetes.Namespace
	return control.Options{
		Namespace:    namespace,
		Client:       clients.Typed,
		View:         appsView,
		StatefulSets: live.New(live.Options{Client: clients.Typed.AppsV1(), View: appsView, Namespace: namespace}),
		Logger:       logger,
	}
}

func newPullSecret(config Configuration, clients k8s.Clients, logger lager.Logger) (*control.PullSecret, error) {
	return control.NewPullSecret(control.PullSecretOptions{
		Client:       clients.Typed,
		Namespace:    config.Kubernetes.Namespace,
		Name:         config.Registry.PullSecret,
		PullAddress:  config.Registry.PullAddress,
		UsernameFile: config.Registry.PullUsernameFile,
		PasswordFile: config.Registry.PullPasswordFile,
		Logger:       logger,
	})
}

// together runs all work until ctx ends or one part fails.
func together(work []func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range work {
			group.Go(func() error { return run(ctx) })
		}
		return group.Wait()
	}
}

func newEmitter(config Configuration, lrps route.View, logger lager.Logger) (*routenats.Emitter, error) {
	replica, err := replicaName()
	if err != nil {
		return nil, err
	}
	return routenats.New(routenats.Options{
		View:         lrps,
		NATS:         natsSettings(config),
		Installation: config.Installation(),
		Replica:      replica,
		MaxPending:   config.NATS.MaxPendingUnregisters,
		Logger:       logger,
	})
}

func natsSettings(config Configuration) routenats.Settings {
	bus := config.NATS
	return routenats.Settings{
		Servers:       bus.Servers,
		User:          bus.User,
		PasswordFile:  bus.PasswordFile,
		CAFile:        bus.CAFile,
		CertFile:      bus.CertificateFile,
		KeyFile:       bus.KeyFile,
		PingInterval:  bus.PingInterval.Duration,
		ReconnectWait: bus.ReconnectWait.Duration,
	}
}

// renderSettings are the settings for what LRPs and tasks become.
func renderSettings(config Configuration) render.Settings {
	apps := config.Apps
	return render.Settings{
		Namespace: config.Kubernetes.Namespace,
		Registry: render.RegistrySettings{
			PullAddress: config.Registry.PullAddress,
			Prefix:      config.Registry.Prefix,
			PullSecret:  config.Registry.PullSecret,
		},
		ServiceAccount:   apps.ServiceAccount,
		DefaultDiskMiB:   apps.DefaultDiskMB,
		TerminationGrace: apps.TerminationGrace.Duration,
		PreStopSleep:     apps.PreStopSleep.Duration,
		UserNamespaces:   apps.UserNamespaces == On,
		UserAnnotations:  apps.UserAnnotations,
		Placement: render.PlacementSettings{
			NodeLabel:        apps.Placement.NodeLabel,
			SharedUnlabelled: apps.Placement.Shared == SharedUnlabelled,
		},
		Probes: render.ProbeSettings{
			LivenessPeriod:    apps.Probes.LivenessPeriod.Duration,
			LivenessFailures:  apps.Probes.LivenessFailures,
			ReadinessPeriod:   apps.Probes.ReadinessPeriod.Duration,
			ReadinessFailures: apps.Probes.ReadinessFailures,
			Timeout:           apps.Probes.Timeout.Duration,
		},
	}
}

// newImageUsers reads docker images as nodes do, which have the platform of the stacks. One
// is made for the process, so that its limits count for apps and builds together.
func newImageUsers(config Configuration, logger lager.Logger) (*bits.ImageUsers, error) {
	rules, err := outboundRules(config)
	if err != nil {
		return nil, err
	}
	options := []bits.Option{bits.WithLogger(logger.Session("images"))}
	if platform, err := bits.PlatformOf(config.Stacks.Platform); err == nil { // Validate refuses anything else
		options = append(options, bits.WithPlatform(*platform))
	}
	return bits.NewImageUsers(config.Apps.ImageUserLookupTimeout.Duration, rules, options...), nil
}

// imageUsers brings the registry's answer to the back end.
type imageUsers struct{ registry *bits.ImageUsers }

// User implements k8s.ImageUsers.
func (u imageUsers) User(ctx context.Context, image opi.Image) (render.ImageUser, error) {
	user, err := u.registry.Lookup(ctx, image)
	switch {
	case errors.Is(err, bits.ErrUnknownUser):
		return render.ImageUser{}, fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image", "%v", err))
	case err != nil:
		return render.ImageUser{}, err
	case user.UID != nil && *user.UID == 0:
		return render.ImageUser{}, fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image", opi.ImageRunsAsRoot))
	}
	return render.ImageUser{UID: user.UID, GID: user.GID, NoCommand: !user.HasCommand}, nil
}
