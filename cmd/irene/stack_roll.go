package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/irene-cf/irene/k8s/control"
)

func rollStack(ctx context.Context, flags *flag.FlagSet, args []string, stdout io.Writer) error {
	stack := flags.String("stack", "", "`NAME` of the stack")
	parallel := flags.Int("parallel", 1, "how many apps are worked on at a time, `N`")
	pause := flags.Duration("pause", 0, "`TIME` between an app and the next")
	patience := flags.Duration("patience", control.DefaultRollPatience, "`TIME` without progress after which an app goes back to what it ran on")
	stop := flags.Bool("stop-on-failure", false, "begin no further app after one that failed")
	config, err := loadForImages(flags, args, 0)
	if err != nil {
		return err
	}
	switch {
	case *stack == "":
		return fmt.Errorf("%w: --stack NAME is required", errUsage)
	case *parallel < 1 || *pause < 0 || *patience <= 0:
		return fmt.Errorf("%w: --parallel must be at least 1, --pause not negative, --patience more than 0", errUsage)
	}
	p, err := newStackParts(config, io.Discard)
	if err != nil {
		return err
	}
	current, err := p.stacks.Current(ctx, *stack)
	if err != nil {
		return err
	}
	assembler, err := newAssembler(config, p.stacks, nil, p.logger)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	assembling, stopAssembling := context.WithCancel(context.WithoutCancel(ctx))
	go func() { ended <- assembler.Run(assembling) }()
	defer func() {
		stopAssembling()
		<-ended
	}()

	fmt.Fprintf(stdout, "rolling stack %s to revision %s\n", *stack, current.Revision)
	result, err := control.NewStackRoll(control.StackRollOptions{
		View: p.view, StatefulSets: p.statefulSets, Pods: p.clients.Typed.CoreV1(), Events: p.clients.Typed.CoreV1(), Logger: p.logger,
		Images: assembledImages{stacks: p.stacks, assembler: assembler}, Registry: p.apps.Registry,
		Stack: *stack, Revision: current.Revision, Parallel: *parallel, Pause: *pause, Patience: *patience,
		StopOnFailure: *stop, Progress: func(lrp control.RolledLRP) { fmt.Fprintln(stdout, rolledLine(lrp)) },
	}).Run(ctx)
	fmt.Fprintf(stdout, "%d of %d done, %d failed, %d left\n", result.Total-result.Left()-result.Failed(), result.Total, result.Failed(), result.Left())
	switch {
	case err != nil:
		return err
	case result.Failed() > 0:
		return fmt.Errorf("%d LRPs are not on the new revision; run it again after a look at why", result.Failed())
	}
	return nil
}

func rolledLine(lrp control.RolledLRP) string {
	line := fmt.Sprintf("[%d/%d] %s %s (%s, %s): %s, %s", lrp.Number, lrp.Total, lrp.AppName, lrp.ProcessType,
		lrp.OrganizationName+"/"+lrp.SpaceName, lrp.ProcessGUID(), lrp.Outcome, lrp.Took.Round(time.Second))
	if lrp.Note != "" {
		line += "; " + lrp.Note
	}
	if lrp.Err != nil {
		line += ": " + lrp.Err.Error()
	}
	return line
}
