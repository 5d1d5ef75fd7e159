package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/fixtures/registryserver"
	"github.com/irene-cf/irene/stager/steps"
)

// Push needs no more than the credential that a build gets for Irene's own registry, and
// replaces no tag of an earlier build.
func TestDropletsAreStoredWithABuildsCredential(t *testing.T) {
	g := NewWithT(t)
	server, err := registryserver.New(t.TempDir(), io.Discard)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(server.Stop()).To(Succeed()) })
	door, err := server.NewDoor()
	g.Expect(err).NotTo(HaveOccurred())
	username, err := credential.Build{GUID: "build", Repository: "cloudfoundry/droplets", Expires: time.Now().Add(time.Hour)}.Username()
	g.Expect(err).NotTo(HaveOccurred())
	key, err := credential.NewBuildKey(server.Irene.Name, server.Irene.Password)
	g.Expect(err).NotTo(HaveOccurred())
	folder := t.TempDir()
	config := steps.PushConfig{Registry: steps.RegistryConfig{
		Address: door.Address(), Prefix: "cloudfoundry",
		UsernameFile: filepath.Join(folder, "username"), PasswordFile: filepath.Join(folder, "password"),
	}}
	g.Expect(os.WriteFile(config.Registry.UsernameFile, []byte(username), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(config.Registry.PasswordFile, []byte(key.Password(username)), 0o600)).To(Succeed())
	store, err := newRegistryStore(config)
	g.Expect(err).NotTo(HaveOccurred())

	var content bytes.Buffer
	zipped := gzip.NewWriter(&content)
	archive := tar.NewWriter(zipped)
	g.Expect(archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./app/run", Mode: 0o755, Size: 4})).To(Succeed())
	_, err = archive.Write([]byte("true"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(archive.Close()).To(Succeed())
	g.Expect(zipped.Close()).To(Succeed())
	push := func(result string) string {
		digest, err := store.Push(t.Context(), io.NewSectionReader(bytes.NewReader(content.Bytes()), 0, int64(content.Len())), steps.Droplet{
			Size: int64(content.Len()), SHA1: fmt.Sprintf("%x", sha1.Sum(content.Bytes())), SHA256: fmt.Sprintf("%x", sha256.Sum256(content.Bytes())),
			Stack: "cflinuxfs4", Result: []byte(result),
		})
		g.Expect(err).NotTo(HaveOccurred())
		return digest
	}
	first := push(`{"a":1}`)
	g.Expect(push(`{"a":1}`)).To(Equal(first))
	g.Expect(push(`{"b":1}`)).NotTo(Equal(first))
	for _, exchange := range door.Traffic().Exchanges {
		g.Expect(exchange.Status).To(Or(BeNumerically("<", 400), Equal(401), Equal(404)), "%s %s", exchange.Method, exchange.Path)
	}
}
