//go:build controlplane

// Package controlplane_test proves the apps API against a real API server,
// scheduler and controllers, with nodes that only pretend (kwok makes their pods
// run). The real irene binary runs as child processes and is called as Cloud
// Controller calls it; what it made is looked at with client-go.
//
// Every irene acts as the account that the Helm chart makes for it, with the chart's
// rights and its fence, and fails the suite when it lacks one.
//
// One control plane serves all specs. Most share one irene and tell their apps
// apart by guid; those that count objects, configure irene or harm it have a
// namespace and processes of their own. Faults of the API server are played by a
// gateway between irene and it, so that none ever has to be killed.
//
// The suite owns every process that it starts: each ends with its spec or with the
// suite, also when the suite is killed.
package controlplane_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/devcluster"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

func TestControlPlane(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Apps on a control plane with fake nodes")
}

// binaries is where "make binaries" and "make cluster-control-plane" put them.
const binaries = "../../../../bin"

// chartManifest is what the Helm chart renders with its defaults.
const chartManifest = "../../../../deploy/helm/testdata/minimal.golden.yaml"

// patience is how long a spec may take altogether.
var patience = SpecTimeout(3 * time.Minute)

var (
	// api talks to the API server as an administrator, past all faults.
	api       kubernetes.Interface
	apiConfig *rest.Config
	// account is the chart's account, and ireneBinary the path of the program that acts as it.
	account     *controlplane.Account
	ireneBinary string
	// common is the platform that most specs share, and irene its only process.
	common *controlplane.Platform
	irene  *ireneprocess.Process
)

var _ = BeforeSuite(func(ctx context.Context) {
	SetDefaultEventuallyTimeout(40 * time.Second)
	SetDefaultEventuallyPollingInterval(30 * time.Millisecond)
	SetDefaultConsistentlyDuration(time.Second)
	SetDefaultConsistentlyPollingInterval(50 * time.Millisecond)

	for _, name := range []string{"irene", "irene-cluster", "kwok"} {
		_, err := os.Stat(filepath.Join(binaries, name))
		Expect(err).NotTo(HaveOccurred(), "run: make binaries cluster-control-plane")
	}
	cluster, err := controlplane.Start(ctx, devcluster.Options{
		Bin:       binaries,
		FakeNodes: 3,
		// A node that stops reporting is noticed in half the usual time.
		ControllerArgs: []string{"node-monitor-grace-period=22s"},
	}, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cluster.Stop)
	api, apiConfig = cluster.API, cluster.Config
	ireneBinary, err = filepath.Abs(filepath.Join(binaries, "irene"))
	Expect(err).NotTo(HaveOccurred())

	bbsCertificates = newBBSIdentities(GinkgoT().TempDir())
	account = controlplane.InstallAccount(ctx, api, chartManifest)
	common = newPlatform(ctx, cluster.Kubeconfig, nil)
	irene = common.Start(ctx)
}, NodeTimeout(3*time.Minute))
