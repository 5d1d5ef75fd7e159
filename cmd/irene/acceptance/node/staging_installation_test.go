//go:build node

package node_test

import (
	"archive/zip"
	"bytes"
	"context"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

// stagingInstallation stages apps and runs them, beside a Cloud Controller that pods
// reach, and that wants certificates and passwords.
type stagingInstallation struct {
	*assembling
	cloudController *standin.Server
	// certificate and key are the files that irene and builds show, and Cloud Controller to the
	// BBS door; authority is the file of what signed them.
	certificate, key, authority string
}

// newStagingInstallation has settings laid over "stager".
func newStagingInstallation(ctx context.Context, namespace string, stager map[string]any) *stagingInstallation {
	GinkgoHelper()
	works, err := imageworks.Start(GinkgoT().TempDir(), GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	pods, err := works.Registry.NewDoorAt(node.NodeAddress)
	Expect(err).NotTo(HaveOccurred())
	certificates := steptest.NewPlatform(GinkgoTB(), net.ParseIP(node.NodeAddress))
	cloudController, err := standin.Start(standin.Options{
		Listen: net.JoinHostPort(node.NodeAddress, "0"), User: "internal_user", Password: "callback-hunter2",
		TLS: &standin.TLS{
			CertificateFile: certificates.File("server.pem"), KeyFile: certificates.File("server.key"), AuthorityFile: certificates.File("ca.pem"),
			UploaderCertificateFile: certificates.File("client.pem"), UploaderKeyFile: certificates.File("client.key"),
		},
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cloudController.Close)
	mutual := map[string]any{
		"certificate_file": certificates.File("client.pem"), "key_file": certificates.File("client.key"), "ca_file": certificates.File("ca.pem"),
	}
	settings := map[string]any{"registry_address": pods.Address()}
	maps.Copy(settings, mutual)
	maps.Copy(settings, stager)
	peer := maps.Clone(mutual)
	peer["url"] = cloudController.URL()
	return &stagingInstallation{
		assembling: assembleWith(ctx, namespace, works, map[string]any{
			"stager": settings, "cloud_controller": peer, "registry": withPlainHTTP(works),
			"bbs": map[string]any{"listen": map[string]any{"address": "127.0.0.1:0", "tls": map[string]any{
				"certificate_file": certificates.File("server.pem"), "key_file": certificates.File("server.key"),
				"client_ca_file": certificates.File("ca.pem"), "client_names": []string{"client"},
			}}},
		}),
		cloudController: cloudController,
		certificate:     certificates.File("client.pem"), key: certificates.File("client.key"), authority: certificates.File("ca.pem"),
	}
}

// withPlainHTTP are the works' settings of the registry, which isn't on loopback for pods.
func withPlainHTTP(works *imageworks.Works) map[string]any {
	settings := maps.Clone(works.Settings()["registry"].(map[string]any))
	settings["plain_http"] = true
	return settings
}

// addBuildpack gives Cloud Controller a buildpack that is called as its key.
func (s *stagingInstallation) addBuildpack(name string, content []byte) {
	GinkgoHelper()
	_, err := s.cloudController.AddBuildpack(name, name+"-key", imageworks.StackName, bytes.NewReader(content))
	Expect(err).NotTo(HaveOccurred())
}

// addSamples gives Cloud Controller sample buildpacks; static comes with its server.
func (s *stagingInstallation) addSamples(names ...string) {
	GinkgoHelper()
	for _, name := range names {
		var more []buildpack.File
		if name == buildpack.Static {
			program, err := gexec.BuildWithEnvironment("github.com/irene-cf/irene/fixtures/buildpack/fileserver", []string{"CGO_ENABLED=0"})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(gexec.CleanupBuildArtifacts)
			content, err := os.ReadFile(program)
			Expect(err).NotTo(HaveOccurred())
			more = append(more, buildpack.File{Name: "bin/fileserver", Content: content})
		}
		content, err := buildpack.Zip(name, more...)
		Expect(err).NotTo(HaveOccurred())
		s.addBuildpack(name, content)
	}
}

// addSource gives Cloud Controller an app's files and returns their package's guid.
func (s *stagingInstallation) addSource(files map[string]string) string {
	GinkgoHelper()
	guid := cloudcontroller.NewGUID()
	_, err := s.cloudController.AddPackage(guid, bytes.NewReader(zipped(files)))
	Expect(err).NotTo(HaveOccurred())
	return guid
}

// zipped is an archive of files, of which those in bin can be run.
func zipped(files map[string]string) []byte {
	GinkgoHelper()
	var content bytes.Buffer
	archive := zip.NewWriter(&content)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			header.SetMode(0o755)
		}
		entry, err := archive.CreateHeader(header)
		Expect(err).NotTo(HaveOccurred())
		_, err = entry.Write([]byte(files[name]))
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(archive.Close()).To(Succeed())
	return content.Bytes()
}
