package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"time"
)

// clusterStop is more than irene-cluster gives itself for an orderly end.
const clusterStop = 2 * time.Minute

// down stops everything and removes it, except the cache.
func down(ctx context.Context, o options, out io.Writer) error {
	f, err := openFolder(o.dir, false)
	if errors.Is(err, errAbsent) {
		fmt.Fprintf(out, "Nothing to stop: %s holds no embedded cloud.\n", o.dir)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.close()
	c := &cloud{options: o, folder: f}
	if c.state, err = f.loadState(); err != nil {
		return err
	}
	return c.takeDown(ctx, out)
}

// takeDown ends Irene and what it works with, then the cluster, and removes their
// files.
func (c *cloud) takeDown(ctx context.Context, out io.Writer) error {
	undo := &cloud{options: c.options, folder: c.folder, state: c.state}
	return undo.runSteps(ctx, out, []step{
		{"stop Irene", "", (*cloud).stopIrene},
		{"stop NATS and router", "", (*cloud).stopEdge},
		{"stop Cloud Controller's stand-in", "", (*cloud).stopCloudController},
		{"stop registry", "", (*cloud).stopRegistry},
		{"stop Kubernetes and what ran on it", "about 10 s", (*cloud).stopKubernetes},
		{"remove files", "", (*cloud).removeFiles},
	})
}

func (c *cloud) stopIrene(ctx context.Context) (string, error) {
	return stop(ctx, c.state.Irene, ireneStop)
}

func (c *cloud) stopEdge(ctx context.Context) (string, error) {
	return stop(ctx, c.state.Edge, edgeStop)
}

func (c *cloud) stopCloudController(ctx context.Context) (string, error) {
	return stop(ctx, c.state.CloudController, cloudControllerStop)
}

func (c *cloud) stopRegistry(ctx context.Context) (string, error) {
	return stop(ctx, c.state.Registry, registryStop)
}

func stop(ctx context.Context, p process, patience time.Duration) (string, error) {
	if !p.alive() {
		return "doesn't run", nil
	}
	return "stopped", p.end(ctx, patience)
}

// stopKubernetes lets irene-cluster clean up after itself, which it can also when
// its process was killed.
func (c *cloud) stopKubernetes(ctx context.Context) (string, error) {
	folder := c.at(clusterName)
	note := "stopped"
	if !c.state.Cluster.alive() {
		note = "didn't run, cleaned up"
	}
	switch _, err := os.Stat(c.at(clusterName, "lock")); {
	case errors.Is(err, fs.ErrNotExist):
		// irene-cluster makes this file before it does anything that needs cleaning up.
		if err := c.state.Cluster.end(ctx, clusterStop); err != nil {
			return "", err
		}
	case err != nil:
		return "", err
	default:
		output, err := exec.CommandContext(ctx, c.program(clusterProgram), "down", "--dir", folder, "--purge").CombinedOutput()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s is needed to clean up: make %s, or say where it is with --bin", c.program(clusterProgram), makes(clusterProgram))
		}
		if err != nil {
			return "", fmt.Errorf("%s down: %w\n%s", clusterProgram, err, output)
		}
		if err := c.state.Cluster.end(ctx, clusterStop); err != nil {
			return "", err
		}
	}
	return note, nil
}

func (c *cloud) removeFiles(context.Context) (string, error) {
	if err := c.empty(); err != nil {
		return "", err
	}
	if _, err := os.Stat(c.at(cacheName)); err == nil {
		return "all but " + c.at(cacheName), nil
	}
	return "all", nil
}
