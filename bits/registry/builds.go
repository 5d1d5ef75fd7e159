package registry

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"

	v2 "github.com/distribution/distribution/v3/registry/api/v2"
	"github.com/opencontainers/go-digest"

	"github.com/irene-cf/irene/credential"
)

// maxManifestBytes is the library's own bound.
const maxManifestBytes = 4 << 20

// checksumTag matches the tags of droplets: a SHA-1 or a SHA-256 in hex.
var checksumTag = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// boundBuilds refuses what a build needs not do. A build stores its droplet in one
// repository: it uploads blobs, and puts manifests under their digests and under tags
// that do not exist yet. It neither replaces nor deletes anything, and it reads no blob:
// those of the repository are other apps' droplets, too.
func (r *Registry) boundBuilds(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		to := destinationOf(request)
		if to.build != nil && !mayBuild(*to.build, to, request) {
			refuse(w, http.StatusForbidden, "DENIED", "a build may only store its droplet")
			return
		}
		switch {
		case to.route == v2.RouteNameBase && to.build == nil:
			w.Header().Set(credential.BuildsHeader, "1")
			next.ServeHTTP(w, request)
		case to.route == v2.RouteNameManifest && !reads(request):
			r.changeManifest(w, request, next)
		default:
			next.ServeHTTP(w, request)
		}
	})
}

// mayBuild decides by the request alone. Everything that is not listed is refused.
func mayBuild(build credential.Build, to *destination, request *http.Request) bool {
	if to.route == v2.RouteNameBase {
		return reads(request)
	}
	if to.values["name"] != build.Repository {
		return false
	}
	switch to.route {
	case v2.RouteNameManifest:
		return reads(request) || request.Method == http.MethodPut
	case v2.RouteNameBlob:
		return request.Method == http.MethodHead
	case v2.RouteNameBlobUpload:
		// The library takes a mount's parameters from a form in the body, too.
		query := request.URL.Query()
		return request.Method == http.MethodPost && request.ContentLength == 0 && !query.Has("from") && !query.Has("mount")
	case v2.RouteNameBlobUploadChunk:
		// The library requires the state that it signed for the upload's owner. A GET would
		// reveal it to any build that has found out the upload's id.
		return request.Method == http.MethodPatch || request.Method == http.MethodPut
	}
	return false
}

// changeManifest lets a build set a tag only if there is none, or one of the same manifest.
// No other change of a tag happens between that check and the library's write.
func (r *Registry) changeManifest(w http.ResponseWriter, request *http.Request, next http.Handler) {
	// A client that sends slowly must not hold up others, so all is read before the lock
	// is taken.
	body := request.Body
	content, err := io.ReadAll(io.LimitReader(body, maxManifestBytes+1))
	if err != nil {
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "the manifest did not arrive as a whole")
		return
	}
	if len(content) > maxManifestBytes {
		refuse(w, http.StatusRequestEntityTooLarge, "SIZE_INVALID", fmt.Sprintf("the manifest has more than %d bytes", maxManifestBytes))
		return
	}
	request.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(content), body}

	to := destinationOf(request)
	if to.build == nil {
		r.tags.RLock()
		defer r.tags.RUnlock()
		next.ServeHTTP(w, request)
		return
	}
	tag := to.values["reference"]
	if _, err := digest.Parse(tag); err == nil {
		next.ServeHTTP(w, request) // a manifest's digest can't get another meaning
		return
	}
	if !checksumTag.MatchString(tag) {
		refuse(w, http.StatusForbidden, "DENIED", "a build may only set tags that are a droplet's checksums")
		return
	}
	r.tags.Lock()
	defer r.tags.Unlock()
	switch named, exists, err := r.store.TagTarget(to.values["name"], tag); {
	case err != nil:
		r.logger.Error("read-tag", err)
		refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "the registry's directory can't be reached")
	case exists && named != digest.FromBytes(content):
		refuse(w, http.StatusConflict, "DENIED", "the tag names another manifest, and a build may not change that")
	default:
		next.ServeHTTP(w, request)
	}
}
