package build

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/irene-cf/irene/stager/steps"
)

// Texts that Cloud Foundry users know.
const (
	noAppDetected   = "None of the buildpacks detected a compatible application"
	supplyFailed    = "Failed to run all supply scripts"
	noSupplyScript  = "Error: one of the buildpacks chosen to supply dependencies does not support multi-buildpack apps"
	noFinalize      = "Warning: the last buildpack is not compatible with multi-buildpack apps and cannot make use of any dependencies supplied by the buildpacks specified before it"
	finalizeFailed  = "Failed to run finalize script"
	compileFailed   = "Failed to compile droplet"
	releaseFailed   = "Failed to build droplet release"
	procfileFailed  = "Failed to read command from Procfile"
	noStartCommand1 = "No start command specified by buildpack or via Procfile."
	noStartCommand2 = "App will not start unless a command is provided at runtime."
)

// choose finds out which buildpacks are used.
func (b *builder) choose(ctx context.Context) error {
	detect := false
	for _, wanted := range b.config.Buildpacks {
		detect = detect || !wanted.SkipDetect
	}
	if detect {
		return b.detect(ctx)
	}
	for _, wanted := range b.config.Buildpacks {
		found, err := b.findBuildpack(wanted)
		if err != nil {
			return steps.Because(steps.SupplyFailed, err, supplyFailed)
		}
		b.used = append(b.used, found)
	}
	// Better known before the first has run for minutes.
	for _, p := range b.used[:len(b.used)-1] {
		if !p.has("supply") {
			return steps.Fail(steps.SupplyFailed, "%s: buildpack %s has no bin/supply", noSupplyScript, p)
		}
	}
	return nil
}

// detect uses the first buildpack that wants the app.
func (b *builder) detect(ctx context.Context) error {
	began := time.Now()
	defer func() { b.done("detect", began, 0) }()
	for _, wanted := range b.config.Buildpacks {
		p, err := b.findBuildpack(wanted)
		if err != nil {
			b.errors.Line("%v", err)
			continue
		}
		said := ""
		if !p.SkipDetect {
			output, err := b.scripts.capture(ctx, p, "detect", b.path(steps.AppFolder))
			var ended *exitError
			switch {
			case errors.As(err, &ended) && ended.isAnswer():
				continue
			case err != nil && ctx.Err() == nil && !isFailure(err):
				// One broken buildpack keeps none of the others from being right.
				b.errors.Line("buildpack %s: bin/detect: %v", p, err)
				continue
			case err != nil:
				return err
			}
			said = strings.TrimRight(string(output), "\r\n")
		}
		b.used, b.detected = []*buildpack{p}, said
		return nil
	}
	return steps.Fail(steps.NoAppDetected, noAppDetected)
}

func isFailure(err error) bool {
	var failure *steps.Failure
	return errors.As(err, &failure)
}

// supplyAndFinalize runs the scripts that do the work.
func (b *builder) supplyAndFinalize(ctx context.Context) error {
	app, deps := b.path(steps.AppFolder), b.path(steps.DepsFolder)
	last := len(b.used) - 1
	for i, p := range b.used {
		if i < last || p.has("finalize") && p.has("supply") {
			if err := b.work(ctx, steps.SupplyFailed, supplyFailed, p, "supply", app, b.cache(i), deps, b.index(i)); err != nil {
				return err
			}
		}
	}
	p := b.used[last]
	if p.has("finalize") {
		return b.work(ctx, steps.FinalizeFailed, finalizeFailed, p, "finalize", app, b.cache(last), deps, b.index(last), b.path(steps.ProfileFolder))
	}
	if last > 0 {
		b.errors.Line(noFinalize)
	}
	if err := removeAll(b.deps(last)); err != nil {
		return err
	}
	return b.work(ctx, steps.CompileFailed, compileFailed, p, "compile", app, b.cache(last))
}

// work runs a script whose output is the user's to read.
func (b *builder) work(ctx context.Context, reason steps.Reason, text string, p *buildpack, script string, args ...string) error {
	began := time.Now()
	err := b.scripts.run(ctx, p, script, args...)
	b.done(script+" "+p.String(), began, 0)
	if err != nil {
		return steps.Because(reason, err, "%s: buildpack %s: bin/%s", text, p, script)
	}
	return nil
}
