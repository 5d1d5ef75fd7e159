//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"github.com/irene-cf/irene/fixtures/appimage"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/imageworks"
)

var _ = Describe("irene stack", func() {
	var (
		place *assembling
		stack *patchedStack
		node  *controlplane.ImageKubelet
	)
	BeforeEach(func(ctx context.Context) {
		place = newAssembling(ctx, nil)
		stack = newPatchedStack(place.Platform)
		node = controlplane.NewImageKubelet(ctx, api, place.Namespace)
	})
	command := func(ctx context.Context, subcommand string, arguments ...string) *exec.Cmd {
		GinkgoHelper()
		made, err := place.Command(ctx, filepath.Join(binaries, "irene"), imageworks.Cluster{Kubeconfig: controlplane.AccountKubeconfig(place.Kubeconfig), Namespace: place.Namespace}, subcommand, arguments...)
		Expect(err).NotTo(HaveOccurred())
		return made
	}
	start := func(ctx context.Context, subcommand string, arguments ...string) *gexec.Session {
		GinkgoHelper()
		session, err := gexec.Start(command(ctx, subcommand, arguments...), GinkgoWriter, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { session.Kill().Wait() })
		return session
	}
	tell := func(what string, session *gexec.Session) {
		AddReportEntry(what, string(session.Out.Contents())+string(session.Err.Contents()), ReportEntryVisibilityAlways)
	}
	ends := func(ctx context.Context, status int, subcommand string, arguments ...string) *gexec.Session {
		GinkgoHelper()
		session := start(ctx, subcommand, arguments...)
		Eventually(session).WithContext(ctx).WithTimeout(30 * time.Second).Should(gexec.Exit(status))
		tell("irene stack "+subcommand, session)
		return session
	}
	roll := []string{"--stack", imageworks.StackName}
	// started is an app on the stack as it is now.
	started := func(ctx context.Context, name string, instances int) cloudcontroller.Desire {
		GinkgoHelper()
		from := place.newDroplet()
		d := node.App(name, instances).Droplet(from.GUID, from.Hash, "")
		place.runs(ctx, d, from)
		Eventually(func() int32 { return place.StatefulSet(ctx, d.GUID()).Status.ReadyReplicas }).Should(BeEquivalentTo(instances))
		return d
	}
	// patched imports the stack anew, with something else in it.
	patched := func(ctx context.Context) {
		GinkgoHelper()
		rootfs, err := appimage.Layer(appimage.File{Path: "etc/issue", Mode: 0o644, Content: []byte("patched\n")})
		Expect(err).NotTo(HaveOccurred())
		file, err := place.RootFSFile(rootfs)
		Expect(err).NotTo(HaveOccurred())
		Expect(ends(ctx, 0, "import", imageworks.StackName, file)).To(gbytes.Say("stack " + imageworks.StackName + " is now sha256:"))
	}
	type listed struct {
		Stack, Revision, Digest string
		Current, Default        bool
		LRPs                    int
		Apps                    []string
	}
	list := func(ctx context.Context) (stacks []listed) {
		GinkgoHelper()
		Expect(json.Unmarshal(ends(ctx, 0, "list", "-o", "json").Out.Contents(), &stacks)).To(Succeed())
		return stacks
	}
	revision := func(ctx context.Context, d cloudcontroller.Desire) string {
		GinkgoHelper()
		return place.StatefulSet(ctx, d.GUID()).Labels[revisionLabel]
	}

	It("moves apps to a stack that was imported anew, also when it is killed in the middle", func(ctx context.Context) {
		single, double := started(ctx, "single", 1), started(ctx, "double", 2)
		before := revision(ctx, single)
		patched(ctx)
		ends(ctx, 0, "list")
		stacks := list(ctx)
		Expect(stacks).To(ConsistOf(
			SatisfyAll(HaveField("Current", true), HaveField("Default", true), HaveField("LRPs", 0), HaveField("Digest", HavePrefix("sha256:")), HaveField("Revision", Not(Equal(before)))),
			listed{Stack: imageworks.StackName, Revision: before, LRPs: 2, Apps: []string{"double", "single"}},
		))
		after := stacks[0].Revision

		readySingle, readyDouble := node.WatchReady(single), node.WatchReady(double)
		for _, signal := range []os.Signal{syscall.SIGKILL, syscall.SIGINT} {
			rolling := start(ctx, "roll", roll...)
			Eventually(rolling).WithContext(ctx).Should(gbytes.Say("rolling stack"))
			Eventually(func() bool {
				return stack.replaced(ctx, single, 1)() || stack.replaced(ctx, double, 1)() || rolling.ExitCode() >= 0
			}).WithContext(ctx).WithPolling(5 * time.Millisecond).Should(BeTrue())
			rolling.Signal(signal)
			Eventually(rolling).WithContext(ctx).Should(gexec.Exit())
			tell("irene stack roll, with "+signal.String(), rolling)
		}
		Expect(ends(ctx, 0, "roll", roll...)).To(gbytes.Say("0 failed, 0 left"))
		for d, instances := range map[string]int{single.GUID(): 1, double.GUID(): 2} {
			set := place.StatefulSet(ctx, d)
			Expect(set.Spec.Replicas).To(HaveValue(BeEquivalentTo(instances)))
			Expect(set.Labels).To(HaveKeyWithValue(revisionLabel, after))
			Expect(imageOf(set)).To(HaveSuffix("-" + after))
			Expect(set.Annotations).NotTo(Or(HaveKey(surgeAnnotation), HaveKey(rollAnnotation)))
		}
		lowest, most := readySingle()
		Expect([]int{lowest, most}).To(Equal([]int{1, 2}))
		lowest, _ = readyDouble()
		Expect(lowest).To(Equal(1))
		controlplane.AwaitRunning(ctx, place.irene, single, 1)
		controlplane.AwaitRunning(ctx, place.irene, double, 2)
		Expect(ends(ctx, 0, "roll", roll...)).To(gbytes.Say("0 of 0 done, 0 failed, 0 left"))
		ends(ctx, 0, "list")
		Expect(list(ctx)).To(ConsistOf(listed{Stack: imageworks.StackName, Revision: after, Digest: stacks[0].Digest, Current: true, Default: true, LRPs: 2, Apps: []string{"double", "single"}}))
	}, SpecTimeout(4*time.Minute))

	It("says why an app could not be moved", func(ctx context.Context) {
		d := started(ctx, "spoiled", 1)
		before := place.StatefulSet(ctx, d.GUID())
		patched(ctx)
		after := list(ctx)[0].Revision
		node.FailReadiness(imageOf(before)[:len(imageOf(before))-len(before.Labels[revisionLabel])] + after)
		ready := node.WatchReady(d)
		failed := ends(ctx, 1, "roll", append(roll, "--patience", "1s")...)
		Expect(failed).To(gbytes.Say(`\[1/1\] spoiled web .*: rolled back, .*: it did not come up: instance 1, which is there for the move only, is not ready`))
		Expect(failed).To(gbytes.Say("0 of 1 done, 1 failed, 0 left"))
		Expect(failed.Err).To(gbytes.Say("1 LRPs are not on the new revision"))
		Expect(place.StatefulSet(ctx, d.GUID()).Spec).To(Equal(before.Spec))
		lowest, _ := ready()
		Expect(lowest).To(Equal(1))
	}, patience)

	It("refuses a stack that is not configured", func(ctx context.Context) {
		Expect(ends(ctx, 1, "roll", "--stack", "windows").Err).To(gbytes.Say(`there is no stack "windows" on this platform, only ` + imageworks.StackName))
	}, patience)
})
