//go:build node

package node_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

func TestNode(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	SetDefaultConsistentlyDuration(2 * time.Second)
	suite, reporter := GinkgoConfiguration()
	reporter.Verbose = reporter.Verbose || testing.Verbose()
	RunSpecs(t, "apps in real containers", suite, reporter)
}

// What every spec uses.
var (
	// binaries is the folder that make builds into.
	binaries string
	node     *cluster
	images   appImages
	// cloud is the irene of most specs, with the settings that operators get unless
	// they choose others, except for probes (see newInstallation).
	cloud *installation
)

// programs are those of the suite's own use; irene-cluster checks its own.
var programs = []string{"irene", "irene-cluster", "irene-stage", "launch", "sampleapp"}

// nodeWait is how long to wait while another cluster has this machine's node part.
const nodeWait = 5 * time.Minute

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	binaries, err = filepath.Abs("../../../../bin")
	Expect(err).NotTo(HaveOccurred())
	Expect(os.Geteuid()).To(BeZero(), "containers, bridges and cgroups need root")
	for _, program := range programs {
		Expect(filepath.Join(binaries, program)).To(BeARegularFile(), `build it with "make cluster-node binaries"`)
	}

	node = startCluster(ctx, GinkgoT().TempDir())
	images = pushImages(ctx, node.Registry)
	cloud = newInstallation(ctx, "apps", nil)
}, NodeTimeout(nodeWait+2*time.Minute))
