package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/platform"
)

// fixedImages takes it that somebody else puts images of droplets into the registry.
type fixedImages struct{ revision string }

// Assemble implements k8s.AppImages.
func (f fixedImages) Assemble(_ context.Context, lrp opi.LRP) (render.AppImage, error) {
	if lrp.RootFS.Stack != "" {
		return render.AppImage{}, opi.Invalid("rootFS.stack", "only the default stack is supported")
	}
	return render.AppImage{Revision: f.revision}, nil
}

// Find implements k8s.AppImages.
func (f fixedImages) Find(ctx context.Context, lrp opi.LRP) (render.AppImage, bool, error) {
	image, err := f.Assemble(ctx, lrp)
	return image, err == nil, err
}

// assembledImages puts the images of droplets together in the registry.
type assembledImages struct {
	registry  *bits.Registry
	stacks    *bits.Stacks
	assembler *bits.Assembler
}

// Assemble implements k8s.AppImages.
func (a assembledImages) Assemble(ctx context.Context, lrp opi.LRP) (render.AppImage, error) {
	return appImage(a.assembler.Assemble(ctx, assemblyRequest(lrp)))
}

// Find implements k8s.AppImages.
func (a assembledImages) Find(ctx context.Context, lrp opi.LRP) (render.AppImage, bool, error) {
	assembled, found, err := a.assembler.Find(ctx, assemblyRequest(lrp))
	image, err := appImage(assembled, err)
	return image, found, err
}

// AssembleAs implements tasks.ImageAssembly.
func (a assembledImages) AssembleAs(ctx context.Context, lrp opi.LRP, tag string) (render.AppImage, error) {
	return appImage(a.assembler.AssembleAs(ctx, assemblyRequest(lrp), tag))
}

// Repair implements control.ImageRepair.
func (a assembledImages) Repair(ctx context.Context, lrp opi.LRP) (render.AppImage, error) {
	return appImage(a.assembler.Repair(ctx, assemblyRequest(lrp)))
}

func assemblyRequest(lrp opi.LRP) bits.AssemblyRequest {
	return bits.AssemblyRequest{Droplet: *lrp.Droplet, AppGUID: lrp.App.GUID, ProcessGUID: lrp.GUID, Stack: lrp.RootFS.Stack}
}

func appImage(assembled bits.Assembled, err error) (render.AppImage, error) {
	return render.AppImage{Revision: assembled.Stack.Revision, Stack: assembled.Stack.Name}, err
}

// imagesFeature assembles images of droplets in the registry and makes them again when
// nodes can't pull them. It is off while others put images into the registry.
func (c Configuration) imagesFeature() feature {
	return feature{
		authorities: map[string]string{"registry.ca_file": c.Registry.CAFile},
		checks:      []area{examineRegistry, examineStacks},
		assemble: func(a *assembly) error {
			if !c.assembles() {
				a.images = fixedImages{revision: c.Registry.StackRevision}
				return nil
			}
			var err error
			if a.assembled, err = newAssembledImages(c, a.requests, a.logger, a.registry); err != nil {
				return err
			}
			a.images = a.assembled
			a.background = append(a.background, a.assembled.stacks.Run, a.assembled.assembler.Run)
			lost := control.NewLostImages(control.LostImagesOptions{
				View: a.view, StatefulSets: a.statefulSets, Pods: a.clients.Typed.CoreV1(), Events: a.recorder,
				Images: a.assembled, Registry: a.apps.Registry, Logger: a.logger, Registerer: a.registry,
			})
			awaited := control.NewAwaitedImages(control.AwaitedImagesOptions{
				View: a.view, StatefulSets: a.statefulSets, Events: a.recorder,
				Images: a.assembled, Registry: a.apps.Registry, Logger: a.logger, Registerer: a.registry,
			})
			a.leading = append(a.leading, lost.Run, awaited.Run)
			return nil
		},
	}
}

// assembles reports whether Irene makes the images of buildpack apps.
func (c Configuration) assembles() bool { return c.Registry.Address != "" }

// dropletSourceFeature names what imagesFeature fetches droplets from.
func (c Configuration) dropletSourceFeature() feature {
	return feature{
		certificates: map[string]string{"droplets.source.certificate_file": c.Droplets.Source.CertificateFile},
		authorities:  map[string]string{"droplets.source.ca_file": c.Droplets.Source.CAFile},
		checks:       []area{examineDropletSource},
	}
}

func newAssembledImages(config Configuration, requests *platform.Metrics, logger lager.Logger, metrics prometheus.Registerer) (assembledImages, error) {
	registry, err := newRegistry(config, requests, logger)
	if err != nil {
		return assembledImages{}, err
	}
	stacks, err := newStacks(config, registry, logger)
	if err != nil {
		return assembledImages{}, err
	}
	assembler, err := newAssembler(config, stacks, requests, logger)
	if err != nil {
		return assembledImages{}, err
	}
	metrics.MustRegister(registry)
	return assembledImages{registry: registry, stacks: stacks, assembler: assembler}, nil
}

// newRegistry is the registry as Irene itself uses it. Without requests, only the metrics of
// the registry itself count requests.
func newRegistry(config Configuration, requests *platform.Metrics, logger lager.Logger) (*bits.Registry, error) {
	nodes, err := bits.PlatformOf(config.Stacks.Platform)
	if err != nil {
		return nil, fmt.Errorf("stacks.platform: %w", err)
	}
	registry, err := bits.NewRegistry(bits.RegistryOptions{
		Address:      config.Registry.Address,
		Prefix:       config.Registry.Prefix,
		PlainHTTP:    config.Registry.PlainHTTP,
		CAFile:       config.Registry.CAFile,
		UsernameFile: config.Registry.UsernameFile,
		PasswordFile: config.Registry.PasswordFile,
		Platform:     nodes,
		SpoolDir:     config.Registry.SpoolDirectory,
		Logger:       logger.Session("registry"),
		Metrics:      requests,
	})
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return registry, nil
}

// newStacks knows the configured stacks and the lifecycle layer of this release.
func newStacks(config Configuration, registry *bits.Registry, logger lager.Logger) (*bits.Stacks, error) {
	path, err := besideIrene(config.Stacks.LaunchFile, "launch")
	if err != nil {
		return nil, fmt.Errorf("stacks.launch_file: %w", err)
	}
	lifecycle, err := bits.LoadLifecycle(path)
	if err != nil {
		return nil, fmt.Errorf("stacks.launch_file: %w", err)
	}
	stacks, err := bits.NewStacks(bits.StacksOptions{
		Registry: registry, Lifecycle: lifecycle, Names: config.Stacks.Names,
		Interval: config.Stacks.CheckInterval.Duration, Logger: logger.Session("stacks"),
	})
	if err != nil {
		return nil, fmt.Errorf("stacks: %w", err)
	}
	return stacks, nil
}

// besideIrene is the path of a program: the configured one or, without, the one of that
// name beside the irene program.
func besideIrene(configured, name string) (string, error) {
	if configured != "" {
		return configured, nil
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s beside this program: %w", name, err)
	}
	return filepath.Join(filepath.Dir(program), name), nil
}

// newAssembler works until its Run ends.
func newAssembler(config Configuration, stacks *bits.Stacks, requests *platform.Metrics, logger lager.Logger) (*bits.Assembler, error) {
	source, err := newDropletSources(config, requests, logger)
	if err != nil {
		return nil, err
	}
	options := bits.AssemblerOptions{
		Stacks: stacks,
		Conversion: droplet.Options{
			Compression:          config.Droplets.Compression,
			MaxUncompressedBytes: config.Droplets.MaxUnpackedBytes,
		},
		Patience:           config.Droplets.Patience.Duration,
		Timeout:            config.Droplets.AssemblyTimeout.Duration,
		ParallelAssemblies: config.Droplets.ParallelAssemblies,
		ParallelFetches:    config.Droplets.ParallelDownloads,
		Logger:             logger.Session("assembler"),
	}
	if source != (bits.DropletSources{}) {
		options.Source = source
	}
	if config.Droplets.Source.CloudController != "" {
		logger.Info("droplets-can-not-be-fetched", lager.Data{"key": "droplets.source.cloud_controller", "reason": cloudControllerIsNoSource})
	}
	return bits.NewAssembler(options)
}

// cloudControllerIsNoSource explains why a setting that releases up to now took does not do
// what it was meant for.
const cloudControllerIsNoSource = "Cloud Controller compares the checksum in its download URL with the droplet's SHA-256, " +
	"and names only the SHA-1 when it starts an app; set droplets.source.url or url_file to its blobstore instead"

// newDropletSources returns what droplets are fetched from that the registry lacks. Requests of
// the BBS door have URLs of Cloud Controller, which wants Irene's certificate.
func newDropletSources(config Configuration, requests *platform.Metrics, logger lager.Logger) (bits.DropletSources, error) {
	var sources bits.DropletSources
	configured, err := newDropletSource(config, requests, logger)
	if err != nil {
		return sources, fmt.Errorf("droplets.source: %w", err)
	}
	if configured != nil {
		sources.Configured = configured
	}
	cloudController := config.CloudController
	if cloudController.URL == "" {
		return sources, nil
	}
	rules, err := platformRules(config)
	if err != nil {
		return sources, err
	}
	sources.Requested, err = bits.NewHTTPSource(bits.HTTPSourceOptions{
		URL:             strings.TrimSuffix(cloudController.URL, "/") + "/",
		CertificateFile: cloudController.CertificateFile,
		KeyFile:         cloudController.KeyFile,
		CAFile:          cloudController.CAFile,
		Outbound:        rules,
		PlainHTTP:       config.Droplets.Source.PlainHTTP || strings.HasPrefix(cloudController.URL, "http://"),
		MaxBytes:        config.Droplets.MaxBytes,
		Timeout:         config.Droplets.Source.Timeout.Duration,
		Logger:          logger.Session("requested-droplets"),
		Metrics:         requests,
	})
	if err != nil {
		return sources, fmt.Errorf("cloud_controller: %w", err)
	}
	return sources, nil
}

// newDropletSource returns nil if no source is configured.
func newDropletSource(config Configuration, requests *platform.Metrics, logger lager.Logger) (*bits.HTTPSource, error) {
	source := config.Droplets.Source
	if source.URL == "" && source.URLFile == "" && source.CloudController == "" {
		return nil, nil
	}
	rules, err := platformRules(config)
	if err != nil {
		return nil, err
	}
	return bits.NewHTTPSource(bits.HTTPSourceOptions{
		Outbound:        rules,
		URL:             source.URL,
		URLFile:         source.URLFile,
		CloudController: source.CloudController,
		CertificateFile: source.CertificateFile,
		KeyFile:         source.KeyFile,
		UsernameFile:    source.UsernameFile,
		PasswordFile:    source.PasswordFile,
		CAFile:          source.CAFile,
		PlainHTTP:       source.PlainHTTP,
		MaxBytes:        config.Droplets.MaxBytes,
		Timeout:         source.Timeout.Duration,
		Logger:          logger.Session("droplet-source"),
		Metrics:         requests,
	})
}
