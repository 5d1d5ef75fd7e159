package bits

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// hub is go-containerregistry's registry, made to behave like those in use: blobs
// belong to repositories, can be mounted from others or not, and a manifest is only
// taken when its blobs are there. It counts and obstructs.
type hub struct {
	t      testing.TB
	server *httptest.Server
	inner  http.Handler
	blobs  *repositoryBlobs

	mu sync.Mutex
	// noMounts makes a mount an ordinary upload, as registries may.
	noMounts bool
	// token and password ask for credentials, user "user".
	token, password string
	// obstruct, if set, may answer a request itself, and says so.
	obstruct func(http.ResponseWriter, *http.Request) bool
	requests []string
	received int64
	sent     int64
}

func newHub(t testing.TB) *hub {
	t.Helper()
	h := newUnstartedHub(t)
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	return h
}

func newUnstartedHub(t testing.TB) *hub {
	blobs := &repositoryBlobs{content: map[string][]byte{}}
	return &hub{t: t, blobs: blobs, inner: ggcr.New(ggcr.WithBlobHandler(blobs), ggcr.Logger(log.New(io.Discard, "", 0)))}
}

func (h *hub) address() string {
	return strings.TrimPrefix(strings.TrimPrefix(h.server.URL, "http://"), "https://")
}

// ServeHTTP implements http.Handler.
func (h *hub) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	h.mu.Lock()
	obstruct, noMounts := h.obstruct, h.noMounts
	h.requests = append(h.requests, describe(request))
	h.mu.Unlock()
	// The server knows the request by its body.
	request = request.WithContext(request.Context())
	request.Body = &countingBody{request.Body, h, &h.received}
	w = &countingWriter{w, h}
	switch {
	case obstruct != nil && obstruct(w, request):
	case request.URL.Path == "/token":
		h.giveToken(w, request)
	case !h.admits(w, request):
	case !noMounts && h.mount(w, request):
	case !h.complete(w, request):
	default:
		h.inner.ServeHTTP(w, request)
	}
}

// describe names a request without digests and upload ids.
func describe(request *http.Request) string {
	path := strings.TrimPrefix(request.URL.Path, "/v2/")
	if before, _, found := strings.Cut(path, "/blobs/uploads/"); found {
		path = before + "/uploads"
		if request.URL.Query().Has("mount") {
			path += "?mount"
		}
	} else if before, _, found := strings.Cut(path, "/blobs/"); found {
		path = before + "/blobs"
	} else if before, reference, found := strings.Cut(path, "/manifests/"); found {
		path = before + ":" + reference
		if strings.HasPrefix(reference, "sha256:") {
			path = before + "@"
		}
	}
	return request.Method + " " + path
}

func (h *hub) mount(w http.ResponseWriter, request *http.Request) bool {
	query := request.URL.Query()
	if request.Method != http.MethodPost || !query.Has("mount") {
		return false
	}
	repository := strings.TrimSuffix(strings.TrimPrefix(request.URL.Path, "/v2/"), "/blobs/uploads/")
	if !h.blobs.link(query.Get("from"), repository, query.Get("mount")) {
		return false
	}
	w.Header().Set("Location", "/v2/"+repository+"/blobs/"+query.Get("mount"))
	w.WriteHeader(http.StatusCreated)
	return true
}

// complete refuses manifests without their blobs.
func (h *hub) complete(w http.ResponseWriter, request *http.Request) bool {
	repository, _, found := strings.Cut(strings.TrimPrefix(request.URL.Path, "/v2/"), "/manifests/")
	if request.Method != http.MethodPut || !found || h.blobs == nil {
		return true
	}
	content, err := io.ReadAll(request.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return false
	}
	request.Body = io.NopCloser(bytes.NewReader(content))
	manifest, err := v1.ParseManifest(bytes.NewReader(content))
	if err != nil || manifest.Config.Digest.Hex == "" {
		return true
	}
	for _, blob := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		if _, err := h.blobs.Stat(request.Context(), repository, blob.Digest); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"%s"}]}`, blob.Digest)
			return false
		}
	}
	return true
}

// admits asks for credentials. A token is the text of its scopes.
func (h *hub) admits(w http.ResponseWriter, request *http.Request) bool {
	h.mu.Lock()
	password, token := h.password, h.token
	h.mu.Unlock()
	switch {
	case token != "":
		given, err := url.QueryUnescape(strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer "+token+"."))
		if strings.HasPrefix(request.Header.Get("Authorization"), "Bearer "+token+".") && err == nil && covers(given, request) {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+h.server.URL+`/token",service="hub"`)
	case password != "":
		if user, given, ok := request.BasicAuth(); ok && user == "user" && given == password {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="hub"`)
	default:
		return true
	}
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

// covers says whether scopes allow a request; a mount needs two of them.
func covers(scopes string, request *http.Request) bool {
	repository := strings.TrimPrefix(request.URL.Path, "/v2/")
	for _, separator := range []string{"/blobs/", "/manifests/", "/tags/"} {
		repository, _, _ = strings.Cut(repository, separator)
	}
	switch {
	case repository == "" || repository == "_catalog":
		return true
	case request.Method == http.MethodGet || request.Method == http.MethodHead:
		return strings.Contains(scopes, "repository:"+repository+":")
	case request.URL.Query().Has("from") && !strings.Contains(scopes, "repository:"+request.URL.Query().Get("from")+":"):
		return false
	}
	return strings.Contains(scopes, "repository:"+repository+":push")
}

func (h *hub) giveToken(w http.ResponseWriter, request *http.Request) {
	h.mu.Lock()
	password, token := h.password, h.token
	h.mu.Unlock()
	if user, given, _ := request.BasicAuth(); user != "user" || given != password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token + "." + url.QueryEscape(strings.Join(request.URL.Query()["scope"], " "))})
}

// set changes the hub's behaviour.
func (h *hub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// forget starts counting anew.
func (h *hub) forget() { h.set(func() { h.requests, h.received, h.sent = nil, 0, 0 }) }

// seen are the requests since forget, sorted: layers travel in any order.
func (h *hub) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(slices.Values(h.requests))
}

// count is how many of the requests begin with prefix.
func (h *hub) count(prefix string) int {
	n := 0
	for _, request := range h.seen() {
		if strings.HasPrefix(request, prefix) {
			n++
		}
	}
	return n
}

// bytes are those of the bodies that came and went since forget.
func (h *hub) bytes() (received, sent int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.received, h.sent
}

type countingBody struct {
	io.ReadCloser
	hub *hub
	n   *int64
}

// Read implements io.Reader.
func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.hub.set(func() { *b.n += int64(n) })
	return n, err
}

type countingWriter struct {
	http.ResponseWriter
	hub *hub
}

// Write implements io.Writer.
func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.hub.set(func() { w.hub.sent += int64(n) })
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// repositoryBlobs keeps blobs by repository.
type repositoryBlobs struct {
	mu      sync.Mutex
	content map[string][]byte
}

func blobKey(repository string, digest string) string {
	return strings.TrimSuffix(repository, "/blobs") + "@" + digest
}

// Get implements ggcr.BlobHandler.
func (b *repositoryBlobs) Get(_ context.Context, repository string, digest v1.Hash) (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	content, found := b.content[blobKey(repository, digest.String())]
	if !found {
		return nil, ggcr.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(content)), nil
}

// Stat implements ggcr.BlobStatHandler.
func (b *repositoryBlobs) Stat(_ context.Context, repository string, digest v1.Hash) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	content, found := b.content[blobKey(repository, digest.String())]
	if !found {
		return 0, ggcr.ErrNotFound
	}
	return int64(len(content)), nil
}

// Put implements ggcr.BlobPutHandler.
func (b *repositoryBlobs) Put(_ context.Context, repository string, digest v1.Hash, content io.ReadCloser) error {
	defer content.Close()
	all, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.content[blobKey(repository, digest.String())] = all
	return nil
}

func (b *repositoryBlobs) link(from, to, digest string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	content, found := b.content[blobKey(from, digest)]
	if found {
		b.content[blobKey(to, digest)] = content
	}
	return found
}

// lose removes blobs whose key begins with prefix.
func (b *repositoryBlobs) lose(prefix string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.content {
		if strings.HasPrefix(key, prefix) {
			delete(b.content, key)
		}
	}
}
