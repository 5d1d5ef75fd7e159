package registry

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/gomega"
)

const (
	day = 24 * time.Hour
	// long is more than the minimum age.
	long = DefaultMinAge + time.Minute
)

func TestCollectionKeepsWhatTagsLeadTo(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	s.push("cloudfoundry/app", "one", randomImage(t, 2))
	s.push("cloudfoundry/app", "two", ociImage(t, randomLayer(t, 100, types.OCILayerZStd)))
	index, err := random.Index(512, 1, 2)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(remote.WriteIndex(s.tag("stacks/cflinuxfs4", "1"), index, asPusher())).To(Succeed())

	for range 3 {
		s.clock.Step(long)
		done, err := s.GarbageCollect(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(done.Tags + done.Manifests + done.Links + done.Blobs).To(BeZero())
		g.Expect(done.KeptBytes).To(BeNumerically(">", 4*512))
	}
	found, err := remote.Index(s.tag("stacks/cflinuxfs4", "1"), asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(validate.Index(found)).To(Succeed())
	s.expectPull(s.tag("cloudfoundry/app", "one"))
	s.expectPull(s.byDigest("cloudfoundry/app", mustImage(t, s, "cloudfoundry/app", "two")))
	g.Expect(s.metric("irene_registry_gc_runs_total", "outcome=ok")).To(BeEquivalentTo(3))
}

func mustImage(t *testing.T, s *served, repository, tag string) v1.Image {
	t.Helper()
	image, err := remote.Image(s.tag(repository, tag), asPuller())
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestCollectionRemovesWhatNothingLeadsTo(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	shared := randomLayer(t, 1000, types.OCILayer)
	gone := s.push("cloudfoundry/app", "one", ociImage(t, shared, randomLayer(t, 5000, types.OCILayer)))
	s.push("cloudfoundry/other", "one", ociImage(t, shared))
	g.Expect(remote.Delete(s.byDigest("cloudfoundry/app", gone), asPusher())).To(Succeed())

	s.collect()
	g.Expect(s.blobFile(digestOf(t, gone))).To(BeAnExistingFile(), "too young")
	s.clock.Step(long)
	done, err := s.GarbageCollect(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(done.Blobs).To(Equal(3), "config, layer and manifest")
	g.Expect(done.Links).To(Equal(3), "config and two layers")
	g.Expect(done.FreedBytes).To(BeNumerically(">", 5000))
	g.Expect(s.blobFile(digestOf(t, gone))).NotTo(BeAnExistingFile())
	g.Expect(s.blobFile(digestOf(t, shared))).To(BeAnExistingFile())
	s.expectPull(s.tag("cloudfoundry/other", "one"))
	g.Expect(s.metric("irene_registry_gc_removed_bytes_total")).To(BeEquivalentTo(done.FreedBytes))
	g.Expect(s.metric("irene_registry_gc_removed_total", "kind=blob")).To(BeEquivalentTo(3))
	g.Expect(s.metric("irene_registry_storage_bytes")).To(BeEquivalentTo(done.KeptBytes))

	names, err := remote.Catalog(t.Context(), s.tag("a", "b").Registry, asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(names).To(Equal([]string{"cloudfoundry/other"}), "an empty repository goes")
	g.Expect(os.ReadDir(s.directory + "/docker/registry/v2/repositories/cloudfoundry")).To(HaveLen(1))

	s.push("cloudfoundry/app", "one", gone)
	s.expectPull(s.tag("cloudfoundry/app", "one"))
}

func TestOverwrittenTagsLeaveTheirManifestForTheMinimumAge(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	old := s.push("stacks/cflinuxfs4", "latest", randomImage(t, 1))
	s.clock.Step(long)
	s.push("stacks/cflinuxfs4", "latest", randomImage(t, 1))
	s.expectPull(s.byDigest("stacks/cflinuxfs4", old))
	s.collect()
	s.clock.Step(DefaultMinAge / 2)
	s.expectPull(s.byDigest("stacks/cflinuxfs4", old))
	s.clock.Step(DefaultMinAge / 2)
	s.collect()
	s.expectPull(s.byDigest("stacks/cflinuxfs4", old)) // its use was half the age ago

	s.clock.Step(long)
	done, err := s.GarbageCollect(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(done.Manifests).To(Equal(1))
	s.expectMissing(s.byDigest("stacks/cflinuxfs4", old))
	s.expectPull(s.tag("stacks/cflinuxfs4", "latest"))
}

func TestWhatAClientFoundStaysForTheMinimumAge(t *testing.T) {
	for name, find := range map[string]func(s *served, layer v1.Hash){
		"by HEAD": func(s *served, layer v1.Hash) {
			s.call("HEAD", "/v2/cloudfoundry/app/blobs/"+layer.String(), nil)
		},
		"by mount": func(s *served, layer v1.Hash) {
			s.call("POST", "/v2/cloudfoundry/new/blobs/uploads/?from=cloudfoundry/app&mount="+layer.String(), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := serve(t, t.TempDir())
			layer := randomLayer(t, 1000, types.OCILayer)
			image := s.push("cloudfoundry/app", "one", ociImage(t, layer))
			g.Expect(remote.Delete(s.byDigest("cloudfoundry/app", image), asPusher())).To(Succeed())
			s.clock.Step(long)
			find(s, digestOf(t, layer))
			s.collect()
			g.Expect(s.blobFile(digestOf(t, image))).NotTo(BeAnExistingFile())
			g.Expect(s.blobFile(digestOf(t, layer))).To(BeAnExistingFile())

			s.clock.Step(DefaultMinAge - time.Minute)
			again, err := mutate.AppendLayers(empty.Image, &remote.MountableLayer{Layer: layer, Reference: s.tag("cloudfoundry/app", "one")})
			g.Expect(err).NotTo(HaveOccurred())
			s.push("cloudfoundry/new", "one", again)
			s.collect()
			g.Expect(s.blobFile(digestOf(t, layer))).To(BeAnExistingFile())
			s.clock.Step(10 * day)
			s.collect()
			g.Expect(s.blobFile(digestOf(t, layer))).To(BeAnExistingFile())
		})
	}
}

func TestUnusedTagsGoByRule(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir(), func(o *Options) {
		o.Unused = []Unused{{Repositories: "cloudfoundry/droplets", After: 90 * day}, {Repositories: "cloudfoundry/*", After: 30 * day}}
	})
	layer := randomLayer(t, 1000, types.OCILayer)
	s.push("cloudfoundry/droplets", "d", ociImage(t, layer))
	s.push("cloudfoundry/app", "unused", ociImage(t, layer, randomLayer(t, 10, types.OCILayer)))
	kept := s.push("cloudfoundry/app", "used", ociImage(t, layer, randomLayer(t, 10, types.OCILayer)))
	s.push("stacks/cflinuxfs4", "1", randomImage(t, 1))

	s.clock.Step(20 * day)
	_, err := remote.Head(s.byDigest("cloudfoundry/app", kept), asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	s.clock.Step(15 * day)
	done, err := s.GarbageCollect(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(done.Tags).To(Equal(1))
	g.Expect(done.Manifests).To(Equal(1))
	g.Expect(remote.List(s.tag("cloudfoundry/app", "x").Context(), asPuller())).To(Equal([]string{"used"}))
	s.expectPull(s.tag("cloudfoundry/droplets", "d"))

	s.clock.Step(100 * day)
	s.collect()
	s.expectMissing(s.tag("cloudfoundry/droplets", "d"))
	s.expectMissing(s.tag("cloudfoundry/app", "used"))
	g.Expect(s.blobFile(digestOf(t, layer))).NotTo(BeAnExistingFile())
	s.expectPull(s.tag("stacks/cflinuxfs4", "1"))
}

func TestUnfinishedUploadsGo(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	location := s.startUpload("cloudfoundry/app")
	purge := func() int {
		purged, err := s.store.PurgeUploads(t.Context(), DefaultUploadIdle)
		g.Expect(err).NotTo(HaveOccurred())
		return purged
	}
	g.Expect(purge()).To(BeZero())
	s.clock.Step(DefaultUploadIdle + time.Minute)
	g.Expect(purge()).To(Equal(1))
	status, _, body := s.call("PATCH", location, nil)
	g.Expect(status).To(Equal(404), body)
	s.collect()
	g.Expect(s.directory + "/docker/registry/v2/repositories/cloudfoundry").NotTo(BeADirectory())

	s.startUpload("cloudfoundry/app")
	s.stop()
	// File systems tell times apart by some milliseconds only.
	before := time.Now().Add(-time.Second)
	g.Expect(filepath.WalkDir(s.directory, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, before, before))
	})).To(Succeed())
	second := serve(t, s.directory)
	purged, err := second.store.PurgeUploads(t.Context(), DefaultUploadIdle)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(purged).To(Equal(1), "no client can go on with it")
}

func TestADamagedDirectoryIsLeftAlone(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	image := s.push("cloudfoundry/app", "one", randomImage(t, 1))
	s.clock.Step(long)
	g.Expect(os.Rename(s.directory+"/docker/registry/v2/repositories", s.directory+"/away")).To(Succeed())
	_, err := s.GarbageCollect(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("there are blobs and no folder of repositories")))
	g.Expect(s.blobFile(digestOf(t, image))).To(BeAnExistingFile())
	g.Expect(s.metric("irene_registry_gc_runs_total", "outcome=failed")).To(BeEquivalentTo(1))
}
