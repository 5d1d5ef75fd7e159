//go:build controlplane

package controlplane_test

import (
	"context"
	"maps"
	"net/http"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/irene-cf/irene/fixtures/appimage"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

// assembling is a platform whose irene makes the images of apps itself. Nodes only
// pretend to pull them.
type assembling struct {
	*controlplane.Platform
	*imageworks.Works
	irene *ireneprocess.Process
}

// newAssembling has a stack imported. dropletSettings are laid over "droplets".
func newAssembling(ctx context.Context, dropletSettings map[string]any) *assembling {
	GinkgoHelper()
	works, err := imageworks.Start(GinkgoT().TempDir(), GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(works.Stop)
	settings := works.Settings()
	maps.Copy(settings["droplets"].(map[string]any), dropletSettings)
	settings["leader_election"] = map[string]any{"enabled": false}
	a := &assembling{Platform: newPlatform(ctx, direct(), settings), Works: works}
	a.importStack(ctx)
	a.irene = a.Start(ctx)
	return a
}

// importStack imports a root file system that nobody could start.
func (a *assembling) importStack(ctx context.Context) {
	GinkgoHelper()
	a.importStackAs(ctx, imageworks.StackName)
}

func (a *assembling) importStackAs(ctx context.Context, name string) {
	GinkgoHelper()
	rootfs, err := appimage.Layer(appimage.File{Path: "etc/passwd", Mode: 0o644, Content: []byte("vcap:x:2000:2000::/home/vcap:/bin/sh\n")})
	Expect(err).NotTo(HaveOccurred())
	file, err := a.RootFSFile(rootfs)
	Expect(err).NotTo(HaveOccurred())
	_, err = a.Run(ctx, filepath.Join(binaries, "irene"), imageworks.Cluster{Kubeconfig: controlplane.AccountKubeconfig(a.Kubeconfig), Namespace: a.Namespace},
		"import", name, file)
	Expect(err).NotTo(HaveOccurred())
}

// newDroplet is one that can be fetched.
func (a *assembling) newDroplet(entries ...droplet.Entry) droplet.Droplet {
	GinkgoHelper()
	made, err := droplet.New("./server", append(entries, droplet.File("./app/guid", cloudcontroller.NewGUID()))...)
	Expect(err).NotTo(HaveOccurred())
	a.Droplets.Put(made)
	return made
}

func (a *assembling) app(name string, d droplet.Droplet) cloudcontroller.Desire {
	return cloudcontroller.NewBuildpack(name).Droplet(d.GUID, d.Hash, "")
}

// fails desires an app, wants this status and message, the same text where users see
// it, and nothing in Kubernetes or of the app in the registry.
func (a *assembling) fails(ctx context.Context, d cloudcontroller.Desire, from droplet.Droplet, status int, message types.GomegaMatcher) time.Duration {
	GinkgoHelper()
	began := time.Now()
	answer, err := a.irene.Desire(ctx, d)
	took := time.Since(began)
	Expect(err).NotTo(HaveOccurred())
	Expect(answer).To(controlplane.Answered(status))
	Expect(answer.Message()).To(message)
	a.shows(ctx, d, answer)
	Expect(a.StatefulSets(ctx, d.GUID())).To(BeEmpty())
	Expect(a.Secrets(ctx, d.GUID())).To(BeEmpty())
	a.invisible(ctx, from)
	return took
}

// shows wants an answer where Cloud Controller looks for it on behalf of users: a refusal
// as CRASHED, what may pass as UNCLAIMED.
func (a *assembling) shows(ctx context.Context, d cloudcontroller.Desire, answer cloudcontroller.Answer) {
	GinkgoHelper()
	state := "UNCLAIMED"
	if answer.Status == http.StatusUnprocessableEntity {
		state = "CRASHED"
	}
	instances, err := a.irene.Instances(ctx, d.GUID(), d.Version())
	Expect(err).NotTo(HaveOccurred())
	Expect(instances).To(HaveEach(And(HaveField("State", state), HaveField("PlacementError", answer.Message()))))
	Expect(instances).To(HaveLen(controlplane.InstancesOf(d)))
}

// invisible wants no tag that tells of a droplet.
func (a *assembling) invisible(ctx context.Context, d droplet.Droplet) {
	GinkgoHelper()
	Expect(a.Tags(ctx, d.GUID)).To(BeEmpty())
	Expect(a.Tags(ctx, "droplets")).NotTo(ContainElement(d.Hash))
}

// runs desires an app that must be there with its image at once.
func (a *assembling) runs(ctx context.Context, d cloudcontroller.Desire, from droplet.Droplet) {
	GinkgoHelper()
	controlplane.DesireApp(ctx, a.irene, d)
	Expect(a.Tags(ctx, from.GUID)).To(ConsistOf(HavePrefix(from.Hash + "-")))
	Expect(a.Tags(ctx, "droplets")).To(ContainElement(from.Hash))
	controlplane.AwaitRunning(ctx, a.irene, d, controlplane.InstancesOf(d))
}

// slowly answers after a while.
func slowly(wait time.Duration, next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}
