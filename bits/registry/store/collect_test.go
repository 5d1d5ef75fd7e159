package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	. "github.com/onsi/gomega"
	"github.com/opencontainers/go-digest"
)

var dayRules = Rules{MinAge: 24 * time.Hour}

// TestManifestThatIsAskedForDuringACollection: an index is pushed that refers to a
// manifest which the running collection has found to be garbage. The library looks at
// the manifest alone, so what that refers to has to stay as well.
func TestManifestThatIsAskedForDuringACollection(t *testing.T) {
	g := NewWithT(t)
	s, clock := openWithClock(t, t.TempDir())
	layer := s.putBlob(t, "app", layersFolder, "layer")
	child := s.putBlob(t, "app", revisionsFolder, fmt.Sprintf(`{"layers":[{"digest":%q}]}`, layer))
	clock.Step(25 * time.Hour)

	c := &collection{store: s, ctx: t.Context(), rules: dayRules, cutoff: clock.Now().Add(-dayRules.MinAge), kept: make(map[digest.Digest]struct{})}
	r := &repository{collection: c, name: "app", folder: filepath.Join(s.directory, repositoriesFolder, "app"), revisions: make(map[digest.Digest]link), reached: make(map[digest.Digest]struct{})}
	g.Expect(r.read()).To(Succeed())
	g.Expect(r.reachAll()).To(Succeed())
	g.Expect(r.reached).To(BeEmpty())
	_, err := s.GetContent(t.Context(), "/"+linkPath("app", revisionsFolder, child))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.removeManifests()).To(Succeed())
	g.Expect(r.removeLayers()).To(Succeed())
	g.Expect(c.blobs()).To(Succeed())
	g.Expect(c.done).To(Equal(Collected{KeptBytes: c.done.KeptBytes}))
	g.Expect(exists(t, s, blobPath(layer))).To(BeTrue())
	g.Expect(exists(t, s, linkPath("app", layersFolder, layer))).To(BeTrue())
}

// TestWhatIsFoundIsThere lets one ask for a blob while another removes it.
func TestWhatIsFoundIsThere(t *testing.T) {
	s, clock := openWithClock(t, t.TempDir())
	blob := digest.FromString("blob")
	folder, file := s.blobFolder(blob), filepath.Join(s.blobFolder(blob), dataFile)
	var found, removed int
	for range 300 {
		s.put(t, blobPath(blob), "blob")
		clock.Step(25 * time.Hour)
		var (
			both    sync.WaitGroup
			statErr error
		)
		both.Go(func() { _, statErr = s.Stat(t.Context(), "/"+blobPath(blob)) })
		both.Go(func() {
			if _, err := s.discardUnused(folder, file, clock.Now().Add(-24*time.Hour)); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		switch there := exists(t, s, blobPath(blob)); {
		case statErr == nil && !there:
			t.Fatal("found and gone")
		case statErr == nil:
			found++
		case errors.As(statErr, new(storagedriver.PathNotFoundError)) && !there:
			removed++
		default:
			t.Fatal(statErr, there)
		}
	}
	t.Logf("found %d times, removed first %d times", found, removed)
}

func TestBrokenManifestsDoNotStopACollection(t *testing.T) {
	g := NewWithT(t)
	s, clock := openWithClock(t, t.TempDir())
	layer := s.putBlob(t, "app", layersFolder, "layer")
	cut := s.putBlob(t, "app", revisionsFolder, fmt.Sprintf(`{"layers":[{"digest":%q},{"di`, layer))
	empty := s.putBlob(t, "app", revisionsFolder, "")
	s.put(t, repositoriesFolder+"/app/"+tagsFolder+"/cut/current/link", cut.String())
	s.put(t, repositoriesFolder+"/app/"+tagsFolder+"/empty/current/link", empty.String())
	s.put(t, repositoriesFolder+"/app/"+tagsFolder+"/damaged/current/link", "")
	s.put(t, repositoriesFolder+"/app/"+tagsFolder+"/unset/index/sha256/"+cut.Encoded()+"/link", cut.String())
	clock.Step(25 * time.Hour)
	done, err := s.Collect(t.Context(), dayRules)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(done.Manifests + done.Links + done.Blobs).To(BeZero())
	g.Expect(exists(t, s, blobPath(layer))).To(BeTrue(), "what can be read of a manifest counts")
	g.Expect(exists(t, s, repositoriesFolder+"/app/"+tagsFolder+"/damaged")).To(BeFalse(), "a tag without a manifest")
	g.Expect(exists(t, s, repositoriesFolder+"/app/"+tagsFolder+"/unset")).To(BeFalse(), "a tag whose push was cut off")
	g.Expect(done.Tags).To(Equal(2))
}

func TestLinksOfAnotherAlgorithmKeepTheBlob(t *testing.T) {
	g := NewWithT(t)
	s, clock := openWithClock(t, t.TempDir())
	layer := digest.FromString("layer")
	other := digest.SHA512.FromString("layer")
	s.put(t, blobPath(layer), "layer")
	s.put(t, repositoriesFolder+"/app/"+layersFolder+"/sha512/"+other.Encoded()+"/link", layer.String())
	manifest := s.putBlob(t, "app", revisionsFolder, fmt.Sprintf(`{"layers":[{"digest":%q}]}`, other))
	s.put(t, repositoriesFolder+"/app/"+tagsFolder+"/one/current/link", manifest.String())
	clock.Step(25 * time.Hour)
	done, err := s.Collect(t.Context(), dayRules)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(done.Blobs).To(BeZero())
}

func TestDigestsInJSON(t *testing.T) {
	g := NewWithT(t)
	one, two := digest.FromString("one"), digest.SHA512.FromString("two")
	g.Expect(digestsIn([]byte(`{"config":{"digest":"` + one.String() + `","size":1},"x":["sha256:zz","a:b",null,[{"` + two.String() + `":true}]]}`))).
		To(Equal([]digest.Digest{one, two}))
	g.Expect(digestsIn([]byte(`{"digest":"\u0073ha256\u003a`+one.Encoded()+`"}`))).To(Equal([]digest.Digest{one}), "however it is written")
	g.Expect(digestsIn(nil)).To(BeEmpty())
}

func TestUsesThatCouldNotBeNotedStopCollections(t *testing.T) {
	g := NewWithT(t)
	s, clock := openWithClock(t, t.TempDir())
	blob := digest.FromString("blob")
	s.put(t, blobPath(blob), "blob")
	g.Expect(os.MkdirAll(filepath.Join(s.directory, repositoriesFolder), 0o700)).To(Succeed())
	clock.Step(25 * time.Hour)
	s.unrecorded.Store(clock.Now().UnixNano())
	clock.Step(23 * time.Hour)
	_, err := s.Collect(t.Context(), dayRules)
	g.Expect(err).To(MatchError(ContainSubstring("nothing is removed for now")))
	clock.Step(2 * time.Hour)
	done, err := s.Collect(t.Context(), dayRules)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(done.Blobs).To(Equal(1))
}

func TestCollectionsEndWithTheirContext(t *testing.T) {
	g := NewWithT(t)
	s, clock := openWithClock(t, t.TempDir())
	s.putBlob(t, "app", layersFolder, "layer")
	clock.Step(25 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done, err := s.Collect(ctx, dayRules)
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(done).To(BeZero())
	g.Expect(s.Collect(t.Context(), dayRules)).To(Equal(Collected{Links: 1, Blobs: 1, FreedBytes: 5}))
}
