package main

import (
	"context"
	"maps"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/record"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/events"
	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/tasks"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
	"github.com/irene-cf/irene/platform"
)

// feature is one capability of the service: what it needs from its surroundings and how
// its parts are made. All that the service needs with a configuration is the sum of its
// features, so a new capability is one more entry of [features].
type feature struct {
	// permissions that the service account needs for it. The chart's Roles grant them.
	permissions []permission
	// certificates and authorities are the configured PEM files by configuration key;
	// an empty path means that none is configured.
	certificates, authorities map[string]string
	// checks of "irene doctor". They also run while the feature is off, to report why.
	checks []area
	// assemble makes the feature's parts and adds its work to the service. A feature
	// that is off adds a null object and no work. nil if there is nothing to make.
	assemble func(*assembly) error
}

// work runs until its context ends or it fails.
type work func(context.Context) error

// assembly collects the service's parts while features are assembled. A feature reads what
// those before it in [features] have set.
type assembly struct {
	config   Configuration
	logger   lager.Logger
	registry *prometheus.Registry
	clients  k8s.Clients
	// users looks up docker images for apps and builds, within common limits.
	users *bits.ImageUsers
	// requests counts requests to the platform's services, by peer.
	requests *platform.Metrics
	apps     render.Settings
	view     *view.View
	// statefulSets are those of the app namespace.
	statefulSets *live.StatefulSets
	// recorder writes Events.
	recorder record.EventRecorder

	images k8s.AppImages
	// assembled has the parts of images; it is empty while others make images.
	assembled assembledImages
	lrps      *k8s.LRPs
	tasks     *tasks.Tasks
	builds    bbs.Builds
	// deciders judge how Jobs end, by their source type.
	deciders map[string]events.Decider
	// observe and rescheduled report an instance before its pod is removed; nil while
	// instances are not reported.
	observe     func(opi.LRPIdentifier) error
	rescheduled rescheduled

	// refusals is the memory that all doors share.
	refusals *opi.Refusals
	door     door
	// bbs has no handler while the door is off.
	bbs door
	// ready lists what must be fulfilled before the replica gets requests.
	ready []func() error
	// emitterReady reports whether routes are published.
	emitterReady func() error
	// background runs in every replica, leading only in the leader.
	background, leading []work
}

// features returns all features in the order in which they are assembled, which is also
// that of doctor's checks.
func (c Configuration) features() []feature {
	return []feature{
		c.listenerFeature(),
		c.viewFeature(),
		c.leaderFeature(),
		c.nodesFeature(),
		c.routesFeature(),
		c.imagesFeature(),
		c.lrpsFeature(),
		c.tasksFeature(),
		c.stagingFeature(),
		c.dropletSourceFeature(),
		c.cloudControllerFeature(),
		c.controllersFeature(),
		c.pullSecretFeature(),
		c.doorFeature(),
		c.bbsFeature(),
	}
}

// permissions returns what all features need.
func (c Configuration) permissions() []permission {
	var needed []permission
	for _, f := range c.features() {
		needed = append(needed, f.permissions...)
	}
	return needed
}

// certificateFiles returns the certificate files of all features by configuration key.
func (c Configuration) certificateFiles() (certificates, authorities map[string]string) {
	certificates, authorities = map[string]string{}, map[string]string{}
	for _, f := range c.features() {
		maps.Copy(certificates, f.certificates)
		maps.Copy(authorities, f.authorities)
	}
	none := func(_, path string) bool { return path == "" }
	maps.DeleteFunc(certificates, none)
	maps.DeleteFunc(authorities, none)
	return certificates, authorities
}

// checks returns the doctor's checks of all features.
func (c Configuration) checks() []area {
	var all []area
	for _, f := range c.features() {
		all = append(all, f.checks...)
	}
	return all
}

// notReady returns why this replica should not get requests yet; nil once it should.
func (a *assembly) notReady() error {
	for _, check := range a.ready {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// assemble makes the parts of all features. Nothing runs yet.
func assemble(config Configuration, logger lager.Logger, registry *prometheus.Registry) (*assembly, error) {
	clients, err := k8s.NewClients(config.Kubernetes.KubeconfigFile, config.Kubernetes.MaxParallelCalls, registry)
	if err != nil {
		return nil, err
	}
	users, err := newImageUsers(config, logger)
	if err != nil {
		return nil, err
	}
	a := &assembly{
		config: config, logger: logger, registry: registry, clients: clients, users: users,
		requests: platform.NewMetrics(registry), apps: renderSettings(config),
		deciders: map[string]events.Decider{}, refusals: opi.NewRefusals(),
	}
	for _, f := range config.features() {
		if f.assemble == nil {
			continue
		}
		if err := f.assemble(a); err != nil {
			return nil, err
		}
	}
	return a, nil
}
