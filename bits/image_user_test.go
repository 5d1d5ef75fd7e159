package bits

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/outbound"
)

// registry is go-containerregistry's registry, counting and obstructing requests.
type registry struct {
	t      *testing.T
	server *httptest.Server
	// password, if not empty, has to come with the user name "user".
	password string
	manifest atomic.Int32
	blobs    atomic.Int32
	// block, if set, holds up requests for manifests.
	block atomic.Pointer[chan struct{}]
}

// onLoopback returns rules that allow the tests' own registries, without TLS.
func onLoopback(t testing.TB) *outbound.Rules {
	t.Helper()
	rules, err := outbound.New(outbound.Options{Allowed: []string{"http://127.0.0.0/8"}})
	check(t, err)
	return rules
}

// withTransport replaces the network, and with it what rules restrict.
func withTransport(transport http.RoundTripper) Option {
	return func(u *ImageUsers) { u.transport = transport }
}

func newRegistry(t *testing.T, password string) *registry {
	t.Helper()
	r := &registry{t: t, password: password}
	inner := ggcr.New()
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if user, given, _ := request.BasicAuth(); r.password != "" && (user != "user" || given != r.password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch {
		case strings.Contains(request.URL.Path, "/manifests/"):
			r.manifest.Add(1)
			if gate := r.block.Load(); gate != nil {
				select {
				case <-*gate:
				case <-request.Context().Done():
				}
			}
		case strings.Contains(request.URL.Path, "/blobs/"):
			r.blobs.Add(1)
		}
		inner.ServeHTTP(w, request)
	}))
	t.Cleanup(r.server.Close)
	return r
}

func (r *registry) reference(image string) string {
	return strings.TrimPrefix(r.server.URL, "http://") + "/" + image
}

// push stores an image and returns its reference, then forgets what it counted.
func (r *registry) push(image string, content remote.Taggable) string {
	r.t.Helper()
	reference, err := name.ParseReference(r.reference(image))
	if err != nil {
		r.t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: "user", Password: r.password})
	switch content := content.(type) {
	case v1.Image:
		err = remote.Write(reference, content, auth)
	case v1.ImageIndex:
		err = remote.WriteIndex(reference, content, auth)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.manifest.Store(0)
	r.blobs.Store(0)
	return reference.Name()
}

func withPassword(reference, password string) opi.Image {
	return opi.Image{Reference: reference, Credentials: &opi.RegistryCredentials{Username: "user", Password: password}}
}

const debian = "root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/bash\n"

func TestLookup(t *testing.T) {
	registry := newRegistry(t, "")
	users := NewImageUsers(time.Minute, onLoopback(t))
	base := layerOf(t, folder("etc"), file("etc/passwd", debian), file("etc/group", "root:x:0:\nstaff:x:50:\n"))
	app := layerOf(t, file("app", "x"))
	for user, want := range map[string]struct {
		uid, gid *int64
		fails    string
	}{
		"":           {uid: id(0)},
		"2000":       {uid: id(2000)},
		"2000:2001":  {uid: id(2000), gid: id(2001)},
		"node":       {uid: id(1000), gid: id(1000)},
		"node:staff": {uid: id(1000), gid: id(50)},
		"x":          {fails: `USER "x" is not in the image's /etc/passwd`},
	} {
		t.Run(user, func(t *testing.T) {
			g := NewWithT(t)
			reference := registry.push("org/app:latest", imageOf(t, user, base, app))
			got, err := users.Lookup(context.Background(), opi.Image{Reference: reference})
			if want.fails != "" {
				g.Expect(err).To(MatchError(ErrUnknownUser))
				g.Expect(err).To(MatchError(want.fails))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.User).To(Equal(User{Name: user, UID: want.uid, GID: want.gid}))
		})
	}
}

// A request may name another user than the image does.
func TestLookupOfAnotherUser(t *testing.T) {
	g := NewWithT(t)
	registry := newRegistry(t, "")
	users := NewImageUsers(time.Minute, onLoopback(t))
	image := opi.Image{Reference: registry.push("org/app:another", imageOf(t, "2000", layerOf(t, folder("etc"), file("etc/passwd", debian))))}
	for range 2 {
		g.Expect(users.LookupUser(t.Context(), image, "node")).To(HaveField("User", Equal(User{Name: "node", UID: id(1000), GID: id(1000)})))
		g.Expect(users.Lookup(t.Context(), image)).To(HaveField("User.UID", id(2000)))
		_, err := users.LookupUser(t.Context(), image, "x")
		g.Expect(err).To(MatchError(ErrUnknownUser))
		g.Expect(err).NotTo(MatchError(opi.ErrUnavailable))
	}
	_, err := users.LookupUser(t.Context(), opi.Image{Reference: registry.reference("gone:1")}, "node")
	g.Expect(err).NotTo(MatchError(opi.ErrUnavailable))
	_, err = users.LookupUser(t.Context(), opi.Image{Reference: "127.0.0.1:1/org/app"}, "node")
	g.Expect(err).To(MatchError(opi.ErrUnavailable))
}

func TestLookupOfCommands(t *testing.T) {
	registry := newRegistry(t, "")
	users := NewImageUsers(time.Minute, onLoopback(t))
	for name, c := range map[string]struct {
		config v1.Config
		want   bool
	}{
		"neither":    {v1.Config{User: "1000"}, false},
		"empty":      {v1.Config{User: "1000", Entrypoint: []string{}, Cmd: []string{}}, false},
		"entrypoint": {v1.Config{User: "1000", Entrypoint: []string{"/run"}}, true},
		"command":    {v1.Config{User: "1000", Cmd: []string{"serve"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			image, err := mutate.Config(imageOf(t, ""), c.config)
			g.Expect(err).NotTo(HaveOccurred())
			got, err := users.Lookup(context.Background(), opi.Image{Reference: registry.push("org/command:"+name, image)})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.HasCommand).To(Equal(c.want))
			g.Expect(*got.UID).To(Equal(int64(1000)))
		})
	}
}

func TestLookupReadsTheImageOfThisPlatform(t *testing.T) {
	g := NewWithT(t)
	registry := newRegistry(t, "")
	users := NewImageUsers(time.Minute, onLoopback(t))
	index := func(architecture string) v1.ImageIndex {
		return mutate.AppendManifests(empty.Index,
			mutate.IndexAddendum{Add: imageOf(t, "1"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "windows", Architecture: architecture}}},
			mutate.IndexAddendum{Add: imageOf(t, "2"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}},
		)
	}
	for architecture, want := range map[string]string{"amd64": "2", "arm64": "2", "s390x": ""} {
		reference := registry.push("many:"+architecture, index(architecture))
		got, err := users.Lookup(context.Background(), opi.Image{Reference: reference})
		if architecture == ownPlatform.Architecture {
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.Name).To(Equal(want))
		} else {
			g.Expect(err).To(HaveOccurred())
			g.Expect(err).NotTo(MatchError(ErrUnknownUser))
		}
	}
}

func TestLookupRemembersByDigest(t *testing.T) {
	g := NewWithT(t)
	registry := newRegistry(t, "")
	users := NewImageUsers(time.Minute, onLoopback(t))
	image := imageOf(t, "node", layerOf(t, file("etc/passwd", debian)))
	tag := registry.push("app:1", image)
	digest, err := image.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	lookup := func(reference string) ImageRun {
		user, err := users.Lookup(context.Background(), opi.Image{Reference: reference})
		g.Expect(err).NotTo(HaveOccurred())
		return user
	}
	first := lookup(tag)
	asked, read := registry.manifest.Load(), registry.blobs.Load()
	g.Expect(asked).To(Equal(int32(2)), "HEAD for the digest, GET for the content")
	g.Expect(lookup(tag)).To(Equal(first))
	g.Expect(registry.manifest.Load()).To(Equal(asked+1), "a tag may have moved")
	g.Expect(lookup(registry.reference("app@" + digest.String()))).To(Equal(first))
	g.Expect(registry.manifest.Load()).To(Equal(asked+1), "a digest can't")
	g.Expect(registry.blobs.Load()).To(Equal(read))

	moved := registry.push("app:1", imageOf(t, "2000"))
	g.Expect(lookup(moved).Name).To(Equal("2000"))

	registry.push("bad:1", imageOf(t, "x"))
	for range 2 {
		_, err := users.Lookup(context.Background(), opi.Image{Reference: registry.reference("bad:1")})
		g.Expect(err).To(MatchError(ErrUnknownUser))
	}
	g.Expect(registry.manifest.Load()).To(Equal(int32(3)), "a verdict on an image is remembered too")
}

func TestLookupNeedsTheCredentials(t *testing.T) {
	g := NewWithT(t)
	registry := newRegistry(t, "secret")
	users := NewImageUsers(time.Minute, onLoopback(t))
	image := imageOf(t, "2000")
	digest, err := image.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	registry.push("private:1", image)
	for _, reference := range []string{registry.reference("private:1"), registry.reference("private@" + digest.String())} {
		user, err := users.Lookup(context.Background(), withPassword(reference, "secret"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(*user.UID).To(Equal(int64(2000)))

		for _, other := range []opi.Image{{Reference: reference}, withPassword(reference, "guess")} {
			_, err = users.Lookup(context.Background(), other)
			var refused *transport.Error
			g.Expect(errors.As(err, &refused)).To(BeTrue(), "%v", err)
			g.Expect(refused.StatusCode).To(Equal(http.StatusUnauthorized))
			g.Expect(err).NotTo(MatchError(ErrUnknownUser))
			g.Expect(err.Error()).NotTo(ContainSubstring("guess"))
		}
	}
}

func TestLookupOfWhatIsNotThere(t *testing.T) {
	g := NewWithT(t)
	registry := newRegistry(t, "")
	users := NewImageUsers(time.Minute, onLoopback(t))
	_, err := users.Lookup(context.Background(), opi.Image{Reference: registry.reference("nothing:1")})
	var missing *transport.Error
	g.Expect(errors.As(err, &missing)).To(BeTrue(), "%v", err)
	g.Expect(missing.StatusCode).To(Equal(http.StatusNotFound))
	g.Expect(err).To(MatchError(HavePrefix("read the user of image " + registry.reference("nothing:1") + ": ")))

	_, err = users.Lookup(context.Background(), opi.Image{Reference: "Not An Image"})
	g.Expect(err).To(HaveOccurred())
	g.Expect(err).NotTo(MatchError(ErrUnknownUser))
}

func TestLookupWithoutHEAD(t *testing.T) {
	g := NewWithT(t)
	registry := newRegistry(t, "")
	reference := registry.push("app:1", imageOf(t, "2000"))
	users := NewImageUsers(time.Minute, onLoopback(t), withTransport(roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.Method == http.MethodHead {
			return &http.Response{StatusCode: http.StatusMethodNotAllowed, Body: http.NoBody, Request: request}, nil
		}
		return http.DefaultTransport.RoundTrip(request)
	})))
	user, err := users.Lookup(context.Background(), opi.Image{Reference: reference})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*user.UID).To(Equal(int64(2000)))
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func TestLookupTimesOut(t *testing.T) {
	g := NewWithT(t)
	registry := newRegistry(t, "")
	reference := registry.push("app:1", imageOf(t, "2000"))
	gate := make(chan struct{})
	registry.block.Store(&gate)
	defer close(gate)
	_, err := NewImageUsers(50*time.Millisecond, onLoopback(t)).Lookup(context.Background(), opi.Image{Reference: reference})
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
	g.Expect(err).To(MatchError(ContainSubstring("the registry did not answer within 50ms")))
	g.Expect(err).NotTo(MatchError(ErrUnknownUser))
}

func TestLookupsOfOneImageShareTheWork(t *testing.T) {
	g := NewWithT(t)
	registry := newRegistry(t, "secret")
	reference := registry.push("app:1", imageOf(t, "2000"))
	gate := make(chan struct{})
	registry.block.Store(&gate)
	users := NewImageUsers(time.Minute, onLoopback(t))

	impatient, giveUp := context.WithCancel(context.Background())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := users.Lookup(impatient, withPassword(reference, "secret"))
		gaveUp <- err
	}()
	g.Eventually(registry.manifest.Load).Should(Equal(int32(1)))

	var others sync.WaitGroup
	var begun atomic.Int32
	results := make(chan error, 20)
	for range cap(results) {
		others.Go(func() {
			begun.Add(1)
			_, err := users.Lookup(context.Background(), withPassword(reference, "secret"))
			results <- err
		})
	}
	g.Eventually(begun.Load).Should(Equal(int32(cap(results))))
	giveUp()
	g.Eventually(gaveUp).Should(Receive(MatchError(context.Canceled)))

	_, err := users.Lookup(context.Background(), opi.Image{Reference: reference})
	g.Expect(err).To(HaveOccurred(), "other credentials don't share it")

	close(gate)
	others.Wait()
	close(results)
	for err := range results {
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(registry.blobs.Load()).To(Equal(int32(1)), "the config was read once")
}

func TestHugeManifestsAndConfigsAreRefused(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		switch {
		case !strings.Contains(request.URL.Path, "/manifests/"):
		case strings.HasSuffix(request.URL.Path, "/manifests/manifest"):
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			if request.Method == http.MethodGet {
				_, _ = w.Write(make([]byte, maxManifestBytes+1))
			} else {
				w.WriteHeader(http.StatusNotFound)
			}
		}
	}))
	defer server.Close()
	users := NewImageUsers(time.Minute, onLoopback(t))
	_, err := users.Lookup(context.Background(), opi.Image{Reference: strings.TrimPrefix(server.URL, "http://") + "/huge:manifest"})
	g.Expect(err).To(MatchError(ContainSubstring("the manifest has more than 4194304 bytes")))

	registry := newRegistry(t, "")
	image := imageOf(t, strings.Repeat("x", maxConfigBytes))
	reference := registry.push("huge:config", image)
	_, err = users.Lookup(context.Background(), opi.Image{Reference: reference})
	g.Expect(err).To(MatchError(ContainSubstring("its config has")))
}
