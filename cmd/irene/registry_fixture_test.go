package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
)

// registryFolder is what a registry finds on its machine: two users and room for
// content.
type registryFolder struct {
	t                      *testing.T
	path, content          string
	pushSecret, pullSecret string
}

func newRegistryFolder(t *testing.T) *registryFolder {
	f := &registryFolder{t: t, path: t.TempDir(), pushSecret: "push: secret", pullSecret: "pull secret"}
	f.content = filepath.Join(f.path, "content")
	f.write("push", f.pushSecret+"\n")
	f.write("pull", f.pullSecret)
	return f
}

func (f *registryFolder) write(name, content string) (path string) {
	f.t.Helper()
	path = filepath.Join(f.path, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// config writes a configuration with free ports; more is further YAML.
func (f *registryFolder) config(more string) (path string) {
	f.t.Helper()
	text := fmt.Sprintf(`
observe: {address: "127.0.0.1:0"}
storage: {directory: %q, min_free_bytes: 0}
users:
  - {name: irene, password_file: %q}
  - {name: kubelet, password_file: %q, read_only: true}
`, f.content, filepath.Join(f.path, "push"), filepath.Join(f.path, "pull"))
	if !strings.Contains(more, "listen:") {
		text += "listen: {address: \"127.0.0.1:0\"}\n"
	}
	if !strings.Contains(more, "shutdown:") {
		text += "shutdown: {delay: 0s}\n"
	}
	return f.write("registry.yml", text+more)
}

// refused runs the command with that configuration, which must end by itself.
func (f *registryFolder) refused(path string) (stderr string) {
	f.t.Helper()
	errors := gbytes.NewBuffer()
	NewWithT(f.t).Expect(command(f.t.Context(), []string{"registry", "serve", "--config", path}, io.Discard, errors)).To(Equal(exitFailed))
	return string(errors.Contents())
}

// runningRegistry is the command at work within the test's process.
type runningRegistry struct {
	*registryFolder
	address, observe string
	stdout, stderr   *gbytes.Buffer
	// stop ends it as a signal does.
	stop context.CancelFunc
	// ended gets the exit status.
	ended chan int
}

// serve runs the command with that configuration until the test ends, or fails.
func (f *registryFolder) serve(path string) *runningRegistry {
	f.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &runningRegistry{registryFolder: f, stdout: gbytes.NewBuffer(), stderr: gbytes.NewBuffer(), stop: stop, ended: make(chan int, 1)}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.ended <- command(ctx, []string{"registry", "serve", "--config", path}, r.stdout, r.stderr)
	}()
	f.t.Cleanup(func() {
		stop()
		<-finished
	})
	started := regexp.MustCompile(`"message":"irene.started".*"api":"([^"]+)","observe":"([^"]+)"`)
	g := NewWithT(f.t)
	g.Eventually(func(g Gomega) {
		g.Expect(r.stderr.Contents()).To(BeEmpty())
		found := started.FindStringSubmatch(string(r.stdout.Contents()))
		g.Expect(found).NotTo(BeNil())
		r.address, r.observe = found[1], found[2]
	}, "20s").Should(Succeed())
	return r
}

func (r *runningRegistry) tag(text string) name.Tag {
	r.t.Helper()
	tag, err := name.NewTag(r.address + "/" + text)
	if err != nil {
		r.t.Fatal(err)
	}
	return tag
}

func as(user, password string) remote.Option {
	return remote.WithAuth(&authn.Basic{Username: user, Password: password})
}

func (r *runningRegistry) push(tag string, options ...remote.Option) (v1.Image, error) {
	r.t.Helper()
	image, err := random.Image(1024, 2)
	if err != nil {
		r.t.Fatal(err)
	}
	return image, remote.Write(r.tag(tag), image, options...)
}

func (r *runningRegistry) pull(tag string, options ...remote.Option) error {
	r.t.Helper()
	image, err := remote.Image(r.tag(tag), options...)
	if err != nil {
		return err
	}
	return validate.Image(image)
}

// look is the answer of the health port.
func (r *runningRegistry) look(path string) (status int, body string) {
	r.t.Helper()
	status, body, err := get(http.DefaultClient, "http://"+r.observe+path)
	NewWithT(r.t).Expect(err).NotTo(HaveOccurred())
	return status, body
}
