package registry

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"
)

// servedDirectory makes this test binary a registry of that directory.
const servedDirectory = "IRENE_REGISTRY_TEST_DIRECTORY"

// serveUntilKilled prints the registry's address and serves.
func serveUntilKilled(directory string) {
	r, err := New(Options{Directory: directory, Anonymous: true, MinAge: DefaultMinAge, UploadIdle: DefaultUploadIdle, Logger: lager.NewLogger("child")})
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(r.Server().Serve(listener))
}

func startChild(t *testing.T, directory string) (address string, child *exec.Cmd) {
	t.Helper()
	child = exec.Command(os.Args[0])
	child.Env = append(os.Environ(), servedDirectory+"="+directory)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), child
}

// TestKilledInTheMiddleOfPushes kills a registry at many moments of a push. Whatever
// a client was told to be there, is; whatever can be seen at all is whole; and the
// same push succeeds afterwards.
func TestKilledInTheMiddleOfPushes(t *testing.T) {
	g := NewWithT(t)
	directory := t.TempDir()
	push := func(address, tag string) error {
		image := ociImage(t, randomLayer(t, 1<<20, types.OCILayer), randomLayer(t, 1<<10, types.OCILayerZStd))
		return remote.Write(mustTag(t, address, tag), image, remote.WithAuth(authn.Anonymous), remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	}
	// How long does one take here?
	address, child := startChild(t, directory)
	started := time.Now()
	g.Expect(push(address, "measured")).To(Succeed())
	usual := time.Since(started)
	g.Expect(child.Process.Kill()).To(Succeed())
	_ = child.Wait()

	acknowledged := map[string]bool{"measured": true}
	const rounds = 12
	for round := range rounds {
		address, child := startChild(t, directory)
		kill := time.AfterFunc(usual*time.Duration(round*2+1)/rounds, func() { _ = child.Process.Kill() })
		for i := 0; ; i++ {
			tag := fmt.Sprintf("%d-%d", round, i)
			if push(address, tag) != nil {
				break
			}
			acknowledged[tag] = true
		}
		_ = child.Wait()
		kill.Stop()
	}
	t.Logf("a push takes %s; %d were acknowledged in %d rounds", usual, len(acknowledged), rounds)

	s := serve(t, directory)
	for tag := range acknowledged {
		expectWhole(t, s, tag)
	}
	listed, err := remote.List(s.tag("cloudfoundry/app", "x").Context(), asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	for _, tag := range listed {
		if _, err := remote.Head(s.tag("cloudfoundry/app", tag), asPuller()); err != nil {
			g.Expect(err).To(BeAssignableToTypeOf(new(transport.Error)))
			g.Expect(err.(*transport.Error).StatusCode).To(Equal(404), "a tag that was not set yet")
			continue
		}
		expectWhole(t, s, tag)
	}
	expectBlobsMatchTheirNames(t, s)
	_, err = s.store.PurgeUploads(t.Context(), DefaultUploadIdle)
	g.Expect(err).NotTo(HaveOccurred())
	s.clock.Step(long)
	s.collect()
	for tag := range acknowledged {
		expectWhole(t, s, tag)
	}
	uploads, err := filepath.Glob(directory + "/docker/registry/v2/repositories/cloudfoundry/app/_uploads/*")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(uploads).To(BeEmpty())
	s.push("cloudfoundry/app", "afterwards", ociImage(t, randomLayer(t, 1<<20, types.OCILayer)))
}

func mustTag(t *testing.T, address, tag string) name.Tag {
	t.Helper()
	parsed, err := name.NewTag(address + "/cloudfoundry/app:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func expectWhole(t *testing.T, s *served, tag string) {
	t.Helper()
	image, err := remote.Image(s.tag("cloudfoundry/app", tag), asPuller())
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), tag)
	s.expectReadable(image)
}

func expectBlobsMatchTheirNames(t *testing.T, s *served) {
	t.Helper()
	g := NewWithT(t)
	err := filepath.WalkDir(s.directory+"/docker/registry/v2/blobs", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		g.Expect(entry.Name()).To(Equal("data"))
		content, err := os.ReadFile(path)
		sum := sha256.Sum256(content)
		g.Expect(hex.EncodeToString(sum[:])).To(Equal(filepath.Base(filepath.Dir(path))))
		return err
	})
	g.Expect(err).NotTo(HaveOccurred())
}
