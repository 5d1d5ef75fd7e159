package store

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// The library's layout below Directory, as its package registry/storage documents
// it. It has been the same since 2015.
//
//	docker/registry/v2/blobs/<algorithm>/<two digits>/<hex>/data
//	docker/registry/v2/repositories/<name>/_layers/<algorithm>/<hex>/link
//	docker/registry/v2/repositories/<name>/_manifests/revisions/<algorithm>/<hex>/link
//	docker/registry/v2/repositories/<name>/_manifests/tags/<tag>/current/link
//	docker/registry/v2/repositories/<name>/_manifests/tags/<tag>/index/<algorithm>/<hex>/link
//	docker/registry/v2/repositories/<name>/_uploads/<id>/...
//
// Repositories nest; no component of a name begins with an underscore.
const (
	blobsFolder        = "docker/registry/v2/blobs"
	repositoriesFolder = "docker/registry/v2/repositories"
	layersFolder       = "_layers"
	revisionsFolder    = "_manifests/revisions"
	tagsFolder         = "_manifests/tags"
	uploadsFolder      = "_uploads"
	dataFile           = "data"
	linkFile           = "link"
)

// Our own files. They have to be on the same file system as the content.
const (
	ownFolder       = ".irene"
	lockName        = "lock"
	temporaryFolder = "temporary"
	discardedFolder = "discarded"
)

// isBlob tells whether the library's path is that of a blob's content.
func isBlob(p string) bool {
	return path.Base(p) == dataFile && strings.HasPrefix(p, "/"+blobsFolder+"/")
}

// isUsedLink tells whether the library's path makes a blob or a manifest part of
// a repository. Tags aren't: finding one leads to the manifest.
func isUsedLink(p string) bool {
	return path.Base(p) == linkFile &&
		(strings.Contains(p, "/"+layersFolder+"/") || strings.Contains(p, "/"+revisionsFolder+"/"))
}

// isUpload tells whether the library's path belongs to an upload, which ends with
// the process.
func isUpload(p string) bool { return strings.Contains(p, "/"+uploadsFolder+"/") }

// digestOf is the digest whose parts name folders; ok is false for what isn't one.
func digestOf(algorithm, encoded string) (found digest.Digest, ok bool) {
	found = digest.NewDigestFromEncoded(digest.Algorithm(algorithm), encoded)
	return found, found.Validate() == nil
}

func (s *Store) blobFolder(d digest.Digest) string {
	return filepath.Join(s.directory, blobsFolder, d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
}
