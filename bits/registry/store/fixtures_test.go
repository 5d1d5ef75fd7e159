package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	clocktesting "k8s.io/utils/clock/testing"
)

func open(t *testing.T, directory string) *Store {
	t.Helper()
	s, err := Open(Options{Directory: directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// openWithClock opens a store whose clock stands until it is stepped.
func openWithClock(t *testing.T, directory string) (*Store, *clocktesting.FakeClock) {
	t.Helper()
	clock := clocktesting.NewFakeClock(time.Now())
	s, err := Open(Options{Directory: directory, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, clock
}

func (s *Store) put(t *testing.T, path, content string) {
	t.Helper()
	if err := s.PutContent(t.Context(), "/"+path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

func blobPath(blob digest.Digest) string {
	return blobsFolder + "/sha256/" + blob.Encoded()[:2] + "/" + blob.Encoded() + "/" + dataFile
}

// putBlob writes a blob and the link that makes it part of a repository.
func (s *Store) putBlob(t *testing.T, repository, linksFolder, content string) digest.Digest {
	t.Helper()
	blob := digest.FromString(content)
	s.put(t, blobPath(blob), content)
	s.put(t, linkPath(repository, linksFolder, blob), blob.String())
	return blob
}

func linkPath(repository, linksFolder string, blob digest.Digest) string {
	return repositoriesFolder + "/" + repository + "/" + linksFolder + "/sha256/" + blob.Encoded() + "/" + linkFile
}

func exists(t *testing.T, s *Store, path string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(s.directory, path))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}
