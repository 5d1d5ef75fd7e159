//go:build node

package node_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/appimage"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/registryserver"
)

const (
	// stackFile tells inside of a container on which stack it runs.
	stackFile = "etc/stack-release"
	// stackBytes make the stack large beside everything else.
	stackBytes = 16 << 20
)

// assembling is an installation that makes the images of apps itself, in a registry
// of irene's own, from droplets that it fetches.
type assembling struct {
	*installation
	works *imageworks.Works
	// rootfs is the file of which the first stack was made.
	rootfs string
}

// newAssembling has a stack imported whose stackFile says "first". Its registry has
// doors.
func newAssembling(ctx context.Context, namespace string) *assembling {
	GinkgoHelper()
	works, err := imageworks.Start(GinkgoT().TempDir(), GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	return assembleWith(ctx, namespace, works)
}

// assembleWith has more settings, by the names of top-level keys.
func assembleWith(ctx context.Context, namespace string, works *imageworks.Works, more ...map[string]any) *assembling {
	GinkgoHelper()
	DeferCleanup(works.Stop)
	node.reaches(works.PullAddress())
	a := &assembling{works: works, rootfs: filepath.Join(GinkgoT().TempDir(), "rootfs.tar")}
	a.installation = &installation{namespace: namespace}
	writeRootFS(a.rootfs, "first")
	a.stack(ctx, "import", imageworks.StackName, a.rootfs)
	a.installation = newInstallation(ctx, namespace, map[string]any{"pre_stop_sleep": "2s"}, append([]map[string]any{works.Settings()}, more...)...)
	return a
}

// stackCommand is "irene stack …".
func (a *assembling) stackCommand(ctx context.Context, subcommand string, arguments ...string) *exec.Cmd {
	GinkgoHelper()
	command, err := a.works.Command(ctx, filepath.Join(binaries, "irene"),
		imageworks.Cluster{Kubeconfig: node.Kubeconfig, Namespace: a.namespace}, subcommand, arguments...)
	Expect(err).NotTo(HaveOccurred())
	return command
}

// stack runs "irene stack …" and returns what it printed.
func (a *assembling) stack(ctx context.Context, subcommand string, arguments ...string) string {
	GinkgoHelper()
	command := a.stackCommand(ctx, subcommand, arguments...)
	command.Stderr = GinkgoWriter
	printed, err := command.Output()
	Expect(err).NotTo(HaveOccurred(), "irene stack %s printed %s", subcommand, printed)
	return string(printed)
}

// patchStack imports another root file system from a registry: the first one and a
// layer that changes stackFile.
func (a *assembling) patchStack(ctx context.Context, release string) {
	GinkgoHelper()
	rootfs, err := appimage.RootFS(a.rootfs)
	Expect(err).NotTo(HaveOccurred())
	image, err := appimage.Docker(appimage.DockerImage{RootFS: rootfs, Files: []appimage.File{
		{Path: stackFile, Mode: 0o644, Content: []byte(release + "\n")},
	}})
	Expect(err).NotTo(HaveOccurred())
	reference := images.registry + "/stacks/" + a.namespace + ":" + release
	_, err = appimage.Push(ctx, image, reference)
	Expect(err).NotTo(HaveOccurred())
	a.stack(ctx, "import", "--source-plain-http", imageworks.StackName, reference)
}

// writeRootFS writes busybox, the stack's file and much that nobody needs.
func writeRootFS(path, release string) {
	GinkgoHelper()
	noise := make([]byte, stackBytes)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // never fails
	more, err := appimage.Layer(
		appimage.File{Path: stackFile, Mode: 0o644, Content: []byte(release + "\n")},
		appimage.File{Path: "usr/lib/noise", Mode: 0o644, Content: noise},
	)
	Expect(err).NotTo(HaveOccurred())
	file, err := os.Create(path)
	Expect(err).NotTo(HaveOccurred())
	archive := tar.NewWriter(file)
	written := map[string]bool{}
	for _, layer := range []interface{ Uncompressed() (io.ReadCloser, error) }{images.rootfs, more} {
		content, err := layer.Uncompressed()
		Expect(err).NotTo(HaveOccurred())
		for entries := tar.NewReader(content); ; {
			header, err := entries.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			Expect(err).NotTo(HaveOccurred())
			if written[header.Name] {
				continue // a folder of both
			}
			written[header.Name] = true
			Expect(archive.WriteHeader(header)).To(Succeed())
			_, err = io.Copy(archive, entries)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(content.Close()).To(Succeed())
	}
	Expect(archive.Close()).To(Succeed())
	Expect(file.Close()).To(Succeed())
}

// newDroplet is the sample app, staged to stagedCommand, unlike any other droplet. It
// can be fetched.
func (a *assembling) newDroplet() droplet.Droplet {
	GinkgoHelper()
	made, err := droplet.New(stagedCommand,
		droplet.Program("./app/sampleapp", images.program.Content),
		droplet.File("./app/guid", cloudcontroller.NewGUID()),
	)
	Expect(err).NotTo(HaveOccurred())
	a.works.Droplets.Put(made)
	return made
}

// newApp is an app of a droplet, with the command that staging found.
func newApp(name string, d droplet.Droplet) cloudcontroller.Desire {
	return cloudcontroller.NewBuildpack(name).Droplet(d.GUID, d.Hash, "")
}

// anotherVersion is the same app as Cloud Controller desires it after a restart.
func anotherVersion(a *app) cloudcontroller.Desire {
	return a.Desire.Clone().Identify(a.GUID(), cloudcontroller.NewGUID())
}

// imageTag is the tag of instance 0's image.
func (a *app) imageTag(ctx context.Context) string {
	GinkgoHelper()
	image := a.pod(ctx, 0).Spec.Containers[0].Image
	return image[strings.LastIndex(image, ":")+1:]
}

// onStack is what instance index's stackFile says.
func (a *app) onStack(ctx context.Context, index int) string {
	GinkgoHelper()
	return strings.TrimSpace(a.exec(ctx, index, "cat", "/"+stackFile))
}

// ofApps leaves out that irene looks at its stacks again and again.
func ofApps(traffic registryserver.Traffic) registryserver.Traffic {
	return traffic.About(func(e registryserver.Exchange) bool {
		return e.Repository() != imageworks.Prefix+"/stacks/"+imageworks.StackName
	})
}
