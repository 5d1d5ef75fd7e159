//go:build node

package node_test

import (
	"context"
	"os"
	"path/filepath"

	. "github.com/onsi/gomega"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/irene-cf/irene/fixtures/appimage"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

const (
	// imagePrefix and stackRevision are irene's settings for app images, see
	// fixtures/ireneprocess.
	imagePrefix   = "cloudfoundry"
	stackRevision = "test0001"
	dropletHash   = "8d2a1f2e5d0c4b7e9a6f3c1b0d9e8f7a6b5c4d3e"

	// stagedCommand is the start command that staging left in the droplet.
	stagedCommand = "./sampleapp staged"
)

// appImages are the images that specs run, in the cluster's registry.
type appImages struct {
	registry string
	// droplet is the guid of the droplet of the buildpack app.
	droplet string
	// rootfs and program are what docker images are made of.
	rootfs  v1.Layer
	program appimage.File
	// numbered, named and root are docker images of the sample app whose USER is
	// 1001, "app" (1234 in the image's passwd) and not set.
	numbered, named, root string
}

// pushImages makes all images and pushes them.
func pushImages(ctx context.Context, registry string) appImages {
	program, err := os.ReadFile(filepath.Join(binaries, "sampleapp"))
	Expect(err).NotTo(HaveOccurred())
	rootfs, err := appimage.Busybox(ctx, appimage.DebianBusybox)
	Expect(err).NotTo(HaveOccurred())
	made := appImages{
		registry: registry,
		droplet:  cloudcontroller.NewGUID(),
		rootfs:   rootfs,
		program:  appimage.File{Path: "sampleapp", Mode: 0o755, Content: program},
	}
	made.pushApp(ctx)
	made.numbered = made.pushDocker(ctx, "numbered", "1001:1001")
	made.named = made.pushDocker(ctx, "named", "app")
	made.root = made.pushDocker(ctx, "root", "")
	return made
}

// pushApp assembles the buildpack app's image as irene expects it: stack, lifecycle
// and droplet.
func (i appImages) pushApp(ctx context.Context) {
	lifecycle, err := appimage.Lifecycle(filepath.Join(binaries, "launch"))
	Expect(err).NotTo(HaveOccurred())
	text := func(path, content string) appimage.File {
		return appimage.File{Path: path, Mode: 0o644, Content: []byte(content)}
	}
	program := i.program
	program.Path = "app/sampleapp"
	droplet, err := appimage.Droplet(program,
		text("staging_info.yml", `{"detected_buildpack":"binary_buildpack","start_command":"`+stagedCommand+`"}`),
		text("profile.d/0_buildpack.sh", `export PROFILES="buildpack"`+"\n"),
		text("app/.profile.d/1_app.sh", `export PROFILES="$PROFILES, app's folder"`+"\n"),
		text("app/.profile", `export PROFILES="$PROFILES, app's profile"`+"\n"),
	)
	Expect(err).NotTo(HaveOccurred())
	image, err := appimage.App(i.rootfs, lifecycle, droplet)
	Expect(err).NotTo(HaveOccurred())
	_, err = appimage.Push(ctx, image, i.registry+"/"+imagePrefix+"/"+i.droplet+":"+dropletHash+"-"+stackRevision)
	Expect(err).NotTo(HaveOccurred())
}

// pushDocker pushes a docker image of that USER and returns its tag.
func (i appImages) pushDocker(ctx context.Context, name, user string) string {
	reference := i.registry + "/docker/" + name + ":1"
	_, err := appimage.Push(ctx, i.docker(user), reference)
	Expect(err).NotTo(HaveOccurred())
	return reference
}

// docker is an image as users bring it along: the sample app with a PATH, a
// variable and a user of its own.
func (i appImages) docker(user string) v1.Image {
	image, err := appimage.Docker(appimage.DockerImage{
		RootFS: i.rootfs,
		Files: []appimage.File{
			i.program,
			{Path: "etc/passwd", Mode: 0o644, Content: []byte("root:x:0:0::/root:/bin/sh\napp:x:1234:1235::/:/bin/sh\n")},
		},
		User:         user,
		Env:          []string{"PATH=/opt/image/bin:/bin", "FROM_IMAGE=yes"},
		Entrypoint:   []string{"/sampleapp"},
		ExposedPorts: []string{"8080/tcp"},
	})
	Expect(err).NotTo(HaveOccurred())
	return image
}

// newBuildpackApp is the golden request for the pushed droplet.
func newBuildpackApp(name string) cloudcontroller.Desire {
	return cloudcontroller.NewBuildpack(name).Droplet(images.droplet, dropletHash, "./sampleapp")
}
