package main

import (
	"code.cloudfoundry.org/lager/v3"
	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is how much of the container's memory limit Go may use. The rest is for
// what Go does not count.
const memoryShare = 0.9

// limitMemory sets Go's memory limit from the container's, unless GOMEMLIMIT is set. So the
// garbage collector works harder before the kernel kills the process.
func limitMemory(logger lager.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithProvider(memlimit.FromCgroup))
	switch {
	case err != nil:
		logger.Info("no-memory-limit", lager.Data{"reason": err.Error()})
	case limit > 0:
		logger.Info("memory-limit", lager.Data{"bytes": limit})
	}
}
