//go:build node

package node_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/irene-cf/irene/fixtures/appimage"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

var _ = Describe("a docker app from a private registry", Ordered, func() {
	const username, password = "puller", "correct horse"
	var image string

	BeforeAll(func(ctx SpecContext) {
		address := servePrivateRegistry(username, password)
		image = address + "/private/app:1"
		_, err := appimage.Push(ctx, images.docker("1001"), image, remote.WithAuth(&authn.Basic{Username: username, Password: password}))
		Expect(err).NotTo(HaveOccurred())
	}, NodeTimeout(time.Minute))

	desire := func(name, password string) cloudcontroller.Desire {
		return cloudcontroller.NewDocker(name, image).With("lifecycle", map[string]any{"docker_lifecycle": map[string]any{
			"image": image, "command": []string{}, "registry_username": username, "registry_password": password,
		}})
	}

	It("is CRASHED with the reason when the password is wrong", func(ctx SpecContext) {
		a := cloud.push(ctx, desire("wrong-password", "wrong"))
		Eventually(a.instance(0)).WithContext(ctx).Should(beCrashed(Equal("the image " + image + " can't be pulled: 401 Unauthorized")))
	}, SpecTimeout(2*time.Minute))

	It("runs with the right credentials, which nobody sees", func(ctx SpecContext) {
		a := cloud.run(ctx, desire("private", password))
		Expect(userOf(ctx, a)).To(HavePrefix("1001 "))
		Expect(a.get(ctx, 0, "/env")).NotTo(ContainSubstring(password))
		sets, err := node.kubectl(ctx, "get", "statefulsets", "--namespace", cloud.namespace, "--output", "yaml")
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Contains(sets, password)).To(BeFalse(), "the password is shown")
	}, SpecTimeout(2*time.Minute))
})

// servePrivateRegistry serves a registry that wants credentials for everything, on
// the address that the node reaches, and tells containerd of it. It ends with the
// container whose BeforeAll calls.
func servePrivateRegistry(username, password string) (address string) {
	listener, err := net.Listen("tcp", net.JoinHostPort(node.NodeAddress, "0"))
	Expect(err).NotTo(HaveOccurred())
	address = listener.Addr().String()
	next := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, given, ok := r.BasicAuth(); !ok || user != username || given != password {
				w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
				http.Error(w, "credentials are required", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	DeferCleanup(func(ctx context.Context) {
		Expect(server.Shutdown(ctx)).To(Succeed())
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			Fail(err.Error())
		}
	})

	node.reaches(address)
	return address
}

// userOf is the uid and gid of instance 0's container.
func userOf(ctx context.Context, a *app) string {
	GinkgoHelper()
	return strings.TrimSpace(a.exec(ctx, 0, "sh", "-c", `echo "$(id -u) $(id -g)"`))
}
