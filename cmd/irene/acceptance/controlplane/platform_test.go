//go:build controlplane

package controlplane_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"

	"github.com/irene-cf/irene/fixtures/controlplane"
)

// newPlatform creates a platform on the suite's cluster. settings are merged into irene's
// configuration.
func newPlatform(ctx context.Context, kubeconfig string, settings map[string]any) *controlplane.Platform {
	GinkgoHelper()
	return controlplane.NewPlatform(ctx, controlplane.PlatformOptions{
		API: api, Account: account, Binary: ireneBinary, Kubeconfig: kubeconfig, Settings: settings,
	})
}

// alone creates a platform for one irene process, without leader election.
func alone(ctx context.Context, kubeconfig string) *controlplane.Platform {
	GinkgoHelper()
	return newPlatform(ctx, kubeconfig, map[string]any{"leader_election": map[string]any{"enabled": false}})
}

// direct returns the kubeconfig without a gateway.
func direct() string { return common.Kubeconfig }
