package main

import (
	"context"
	"errors"
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// listenerFeature is the API's listener. Its server is made by serve.
func (c Configuration) listenerFeature() feature {
	return feature{
		certificates: map[string]string{"listen.tls.certificate_file": c.Listen.TLS.CertificateFile},
		authorities:  map[string]string{"listen.tls.client_ca_file": c.Listen.TLS.ClientCAFile},
		checks:       []area{examineListener},
	}
}

// viewFeature watches the app namespace and records Events in it.
func (c Configuration) viewFeature() feature {
	apps := c.Kubernetes.Namespace
	return feature{
		permissions: []permission{
			{group: "apps", resource: "statefulsets", namespace: apps, verbs: verbs("get list watch create patch delete")},
			{resource: "pods", namespace: apps, verbs: verbs("get list watch patch delete deletecollection")},
			{resource: "secrets", namespace: apps, verbs: verbs("get list watch create patch delete")},
			{group: "policy", resource: "poddisruptionbudgets", namespace: apps, verbs: verbs("get list watch create update delete")},
			{resource: "events", namespace: apps, verbs: verbs("create patch"), without: "kubectl describe does not say what irene did and refused"},
			{resource: "events", namespace: apps, verbs: verbs("list watch"), without: "users are not told which check of an instance failed, and why a build can't start"},
		},
		checks: []area{examineKubernetes, examinePermissions, examineNamespace},
		assemble: func(a *assembly) error {
			a.view = newView(c, a.clients, a.logger, a.registry)
			a.ready = append(a.ready, func() error {
				if !a.view.Synced() {
					return errors.New("the view of the app namespace is not complete yet")
				}
				return nil
			})
			broadcaster := record.NewBroadcaster()
			a.statefulSets = newStatefulSets(c, a.clients, a.view)
			a.recorder = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "irene"})
			a.background = append(a.background, a.view.Run, func(ctx context.Context) error {
				sink := broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: a.clients.Typed.CoreV1().Events(apps)})
				<-ctx.Done()
				sink.Stop()
				broadcaster.Shutdown()
				return nil
			})
			return nil
		},
	}
}

// lrpsFeature handles requests for LRPs.
func (c Configuration) lrpsFeature() feature {
	return feature{
		assemble: func(a *assembly) error {
			a.lrps = k8s.New(k8s.Options{
				Client: a.clients.Typed, Metadata: a.clients.Metadata, View: a.view, StatefulSets: a.statefulSets,
				Settings: a.apps, Images: a.images, Users: imageUsers{registry: a.users, allowRoot: a.apps.UserNamespaces}, Events: a.recorder, Logger: a.logger,
			})
			return nil
		},
	}
}

// controllersFeature keeps running apps as they were desired. Its controllers report to
// cloudControllerFeature what they do to instances.
func (c Configuration) controllersFeature() feature {
	return feature{
		permissions: []permission{
			{resource: "namespaces", namespace: c.Kubernetes.Namespace, verbs: verbs("get"), without: "deleting the app namespace may wait up to 5 minutes for instances that were over their disk limit"},
		},
		assemble: func(a *assembly) error {
			core := a.clients.Typed.CoreV1()
			companions := control.NewCompanions(control.CompanionsOptions{
				Namespace: c.Kubernetes.Namespace, View: a.view, StatefulSets: a.statefulSets, Pods: core, Secrets: core,
				Budgets: a.clients.Typed.PolicyV1(), OrphanMinAge: c.Apps.OrphanMinAge.Duration, Logger: a.logger, Registerer: a.registry,
			})
			lostNodes := control.NewLostNodes(control.LostNodesOptions{
				Namespace: c.Kubernetes.Namespace, View: a.view, Nodes: core, Pods: core, Events: a.recorder,
				Grace: c.Kubernetes.LostNodeGrace.Duration, PodsWithClaims: c.Kubernetes.ReplacePodsWithClaims, Rescheduled: a.rescheduled,
				Logger: a.logger, Registerer: a.registry,
			})
			crashBackoff := control.NewCrashBackoff(control.CrashBackoffOptions{
				Namespace: c.Kubernetes.Namespace, View: a.view, StatefulSets: a.statefulSets, Pods: core, Namespaces: core, Events: a.recorder,
				Observe: a.observe, Logger: a.logger, Registerer: a.registry,
			})
			podMetadata := control.NewPodMetadata(control.PodMetadataOptions{
				Namespace: c.Kubernetes.Namespace, View: a.view, Pods: core, Logger: a.logger, Registerer: a.registry,
			})
			a.leading = append(a.leading, companions.Run, lostNodes.Run, crashBackoff.Run, podMetadata.Run)
			return nil
		},
	}
}

// nodesFeature lets the view and the controllers watch nodes.
func (c Configuration) nodesFeature() feature {
	return feature{
		permissions: []permission{
			{resource: "nodes", cluster: true, verbs: verbs("list watch"), without: "instances of lost nodes are not replaced, and routes have no availability zone"},
		},
		checks: []area{examineNodes},
	}
}

// doorFeature answers OPI's requests. It comes last, since it needs what serves them.
func (c Configuration) doorFeature() feature {
	return feature{
		assemble: func(a *assembly) error {
			a.door = door{
				Handler: api.NewHandler(api.Options{LRPs: a.lrps, Builds: a.builds, Tasks: a.tasks, Refusals: a.refusals, Logger: a.logger}),
				fault:   api.WriteFault,
			}
			return nil
		},
	}
}

// newView returns a view of the app namespace that is not fed yet.
func newView(config Configuration, clients k8s.Clients, logger lager.Logger, metrics prometheus.Registerer) *view.View {
	return view.New(view.Options{
		Client:        clients.Typed,
		Metadata:      clients.Metadata,
		Namespace:     config.Kubernetes.Namespace,
		StaleAfter:    config.Kubernetes.ViewStaleAfter.Duration,
		LostNodeGrace: config.Kubernetes.LostNodeGrace.Duration,
		SegmentLabel:  config.Apps.Placement.NodeLabel,
		Registerer:    metrics,
		Logger:        logger,
	})
}

// newStatefulSets returns the StatefulSets of the app namespace. They write through to the view.
func newStatefulSets(config Configuration, clients k8s.Clients, appsView *view.View) *live.StatefulSets {
	return live.New(live.Options{Client: clients.Typed.AppsV1(), View: appsView, Namespace: config.Kubernetes.Namespace})
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
		ServiceAccount: apps.ServiceAccount,

		TrustedCertificates: apps.TrustedCertificatesConfigMap,
		Names:               config.Kubernetes.Pods.names(),

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
type imageUsers struct {
	registry *bits.ImageUsers
	// allowRoot is set where images run in user namespaces.
	allowRoot bool
}

// User implements k8s.ImageUsers.
func (u imageUsers) User(ctx context.Context, image opi.Image, name string) (render.ImageUser, error) {
	user, err := u.registry.LookupUser(ctx, image, name)
	switch {
	case errors.Is(err, bits.ErrUnknownUser):
		return render.ImageUser{}, fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image", "%v", err))
	case err != nil:
		return render.ImageUser{}, err
	case !u.allowRoot && user.UID != nil && *user.UID == 0:
		return render.ImageUser{}, fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image", opi.ImageRunsAsRoot))
	}
	return render.ImageUser{UID: user.UID, GID: user.GID, NoCommand: !user.HasCommand}, nil
}

// buildImageUsers brings the registry's answer to builds, which are about the image's own user.
type buildImageUsers struct{ imageUsers }

// User implements builds.ImageUsers.
func (u buildImageUsers) User(ctx context.Context, image opi.Image) (render.ImageUser, error) {
	return u.imageUsers.User(ctx, image, "")
}
