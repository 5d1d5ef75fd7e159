package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Programs that "up" takes from --bin.
const (
	clusterProgram = "irene-cluster"
	ireneProgram   = "irene"
	launchProgram  = "launch"
	sampleProgram  = "sampleapp"
	// stageProgram is taken by Irene, from beside it.
	stageProgram = "irene-stage"
	// fileserverProgram is what the static buildpack supplies.
	fileserverProgram = "fileserver"
	// devProgram is this program, of which "up" starts another one.
	devProgram = "irene-dev"
)

// checkRequirements says everything that is missing at once.
func (c *cloud) checkRequirements(ctx context.Context) (string, error) {
	var missing []string
	for _, name := range []string{clusterProgram, ireneProgram, launchProgram, stageProgram, sampleProgram, fileserverProgram, devProgram} {
		info, err := os.Stat(c.program(name))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			missing = append(missing, fmt.Sprintf("  - the program %s: make %s, or say where it is with --bin", c.program(name), makes(name)))
		}
	}
	if c.rootfs != "" {
		if _, err := os.Stat(c.rootfs); err != nil {
			missing = append(missing, fmt.Sprintf("  - the root file system of --rootfs: %v", err))
		}
	}
	// A running cluster has proved that the machine has what it needs.
	if !c.found && len(missing) == 0 {
		output, err := exec.CommandContext(ctx, c.program(clusterProgram), "check", "--node", "--bin", c.bin).CombinedOutput()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			missing = append(missing, strings.TrimRight(string(output), "\n"))
		}
	}
	if len(missing) > 0 {
		return "", errors.New("this is missing:\n" + strings.Join(missing, "\n"))
	}
	return "nothing is missing", nil
}

// makes is the Makefile's target that makes a program.
func makes(program string) string {
	if program == clusterProgram {
		return "cluster-node"
	}
	return "binaries"
}
