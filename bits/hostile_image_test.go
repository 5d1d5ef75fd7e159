package bits

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/heap"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/outbound"
)

// hostileRegistry serves manifests and configs that are small as JSON and large in memory.
// It answers a lookup's requests only when all images are asked for, or enough of them.
type hostileRegistry struct {
	content map[string]string // by the path's last part
	gets    atomic.Int32
}

// ServeHTTP implements http.Handler.
func (r *hostileRegistry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	name := request.URL.Path[strings.LastIndex(request.URL.Path, "/")+1:]
	content, there := r.content[name]
	switch {
	case request.URL.Path == "/v2/":
	case !there:
		w.WriteHeader(http.StatusNotFound)
	default:
		if request.Method == http.MethodGet {
			r.gets.Add(1)
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = io.WriteString(w, content)
	}
}

// add serves content under a name and its digest, and returns the digest.
func (r *hostileRegistry) add(name, content string) string {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
	r.content[name], r.content[digest] = content, content
	return digest
}

func filled(before, part, after string, size int) string {
	return before + strings.Repeat(part+",", (size-len(before)-len(after))/(len(part)+1)-1) + part + after
}

// Twenty hostile images at once need less than half of the memory that the chart gives.
func TestHostileImagesNeedLittleMemory(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(900 << 20))
	registry := &hostileRegistry{content: map[string]string{}}
	server := httptest.NewServer(registry)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	const size = maxManifestBytes - 10
	withConfig := func(name, config string) {
		digest := registry.add(name+"-config", config)
		registry.add(name, fmt.Sprintf(`{"config":{"size":%d,"digest":%q},"layers":[]}`, len(config), digest))
	}
	registry.add("layers", filled(`{"layers":[`, "{}", "]}", size))
	registry.add("nested", filled(`{"layers":[[`, "[]", "]]}", size))
	registry.add("annotations", filled(`{"annotations":{`, `"":""`, "}}", size))
	registry.add("few-layers", filled(`{"layers":[`, "{}", "]}", 4000))
	withConfig("history", filled(`{"history":[`, "{}", "]}", 8<<20))
	withConfig("small-history", filled(`{"history":[`, "{}", "]}", maxConfigBytes-10))
	withConfig("command", filled(`{"config":{"Cmd":[`, `""`, "]}}", maxConfigBytes-10))
	names := []string{"layers", "nested", "annotations", "few-layers", "history", "small-history", "command"}

	g := NewWithT(t)
	users := NewImageUsers(time.Minute, onLoopback(t))
	errs := make(chan error, 40)
	peak := heap.Peak(func() {
		var lookups sync.WaitGroup
		for i := range 20 {
			image := opi.Image{Reference: fmt.Sprintf("%s/app%d:%s", host, i, names[i%len(names)])}
			lookups.Go(func() {
				_, err := users.Lookup(context.Background(), image)
				errs <- err
			})
			lookups.Go(func() {
				_, err := users.Config(context.Background(), image)
				errs <- err
			})
		}
		lookups.Wait()
	})
	close(errs)
	for err := range errs {
		g.Expect(err).To(HaveOccurred())
		g.Expect(err.Error()).To(Or(
			ContainSubstring("the manifest has too many entries"), ContainSubstring("its config has too many entries"),
			ContainSubstring("its config has"), ContainSubstring("layers, more than 1000"),
		))
	}
	g.Expect(peak).To(BeNumerically("<", 512<<20))

	// A sync that desires the same again does not read the same again.
	before := registry.gets.Load()
	_, err := users.Lookup(context.Background(), opi.Image{Reference: host + "/app0:layers"})
	g.Expect(err).To(MatchError(ContainSubstring("too many entries")))
	g.Expect(registry.gets.Load()).To(Equal(before))
}

// What a registry answers never reaches users, and neither does where its name leads.
func TestUsersReadNothingOfAnswers(t *testing.T) {
	const secret = "internal-secret"
	internal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token_is":"`+secret+`"}`)
	}))
	t.Cleanup(internal.Close)
	for name, handler := range map[string]http.HandlerFunc{
		"a body": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, secret)
		},
		"an error of the protocol": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"errors":[{"code":"`+secret+`","message":"`+secret+`"}]}`)
		},
		"a realm's answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+internal.URL+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, internal.URL, http.StatusFound) },
		"a media type": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"config":{"mediaType":"`+secret+` and more"}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			_, err := NewImageUsers(time.Minute, onLoopback(t)).Config(context.Background(), opi.Image{Reference: strings.TrimPrefix(server.URL, "http://") + "/app"})
			g.Expect(err).To(HaveOccurred())
			g.Expect(err).NotTo(MatchError(ContainSubstring(secret)))
			g.Expect(err).NotTo(MatchError(ContainSubstring("http://")))
		})
	}
}

func TestRegistriesAtRefusedAddresses(t *testing.T) {
	g := NewWithT(t)
	var asked atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(target.Close)
	address := strings.TrimPrefix(target.URL, "http://")
	registry := newRegistry(t, "")
	reference := registry.push("app", imageOf(t, "2000"))
	registryHost, _, _ := strings.Cut(reference, "/")
	realm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+target.URL+`/token"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(realm.Close)
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			http.Redirect(w, r, target.URL, http.StatusFound)
		}
	}))
	t.Cleanup(redirect.Close)
	realmHost, redirectHost := strings.TrimPrefix(realm.URL, "http://"), strings.TrimPrefix(redirect.URL, "http://")

	config := func(image string, allowed ...string) error {
		rules, err := outbound.New(outbound.Options{Allowed: allowed})
		check(t, err)
		_, err = NewImageUsers(time.Minute, rules).Config(context.Background(), withPassword(image, "secret"))
		return err
	}
	g.Expect(config(reference, "http://"+registryHost)).To(Succeed(), "an exception of the operator's")
	for image, allowed := range map[string]string{
		address + "/app":             "10.0.0.0/8",
		"localhost:1/app":            "10.0.0.0/8",
		"169.254.169.254/latest/app": "10.0.0.0/8",
		reference:                    registryHost, // without http://
		realmHost + "/app":           "http://" + realmHost,
		redirectHost + "/app":        "http://" + redirectHost,
	} {
		g.Expect(config(image, allowed)).To(failWith(opi.ErrRefused, image+": it"), image)
	}
	g.Expect(asked.Load()).To(BeZero())
}

func FuzzManifests(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"sha256:a"},"layers":[{}]}`))
	f.Add([]byte(`{"manifests":[{"platform":{"os":"linux"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if checkJSON(text, 100) != nil {
			return
		}
		if manifest, err := parseManifest(text); err == nil && len(manifest.Layers) > 100 {
			t.Fatalf("%d layers passed a limit of 100 values", len(manifest.Layers))
		}
		if index, err := parseIndex(text); err == nil && len(index) > 100 {
			t.Fatalf("%d entries passed a limit of 100 values", len(index))
		}
	})
}
