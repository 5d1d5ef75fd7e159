package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/util/cert"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

// startedCloudController is a cloud that has nothing but Cloud Controller's stand-in.
func startedCloudController(t *testing.T) (c *cloud, kill func()) {
	t.Helper()
	g := NewWithT(t)
	c = &cloud{folder: &folder{path: t.TempDir()}}
	g.Expect(chooseAddress(&c.state.CloudControllerAddress, "127.0.0.1:0")).To(Succeed())
	g.Expect(chooseAddress(&c.state.ControlAddress, "127.0.0.1:0")).To(Succeed())
	g.Expect(c.makeCertificates()).To(Succeed())
	g.Expect(os.WriteFile(c.at("fileserver"), []byte("program"), 0o755)).To(Succeed())
	return c, runCloudController(t, c)
}

// runCloudController runs it until the returned function is called.
func runCloudController(t *testing.T, c *cloud) (stop func()) {
	t.Helper()
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	var log bytes.Buffer
	ended := make(chan int, 1)
	o := cloudControllerOptions{c.state.CloudControllerAddress, c.state.ControlAddress, c.at(cloudControllerName), c.at(certificatesName), c.at("fileserver")}
	go func() { ended <- command(ctx, o.arguments(), &log, &log) }()
	running := true
	stop = func() {
		if cancel(); running {
			running = false
			g.Expect(<-ended).To(Equal(0), log.String())
		}
	}
	t.Cleanup(stop)
	g.Eventually(func() (int, error) {
		status, _, err := call(ctx, http.MethodGet, c.control(""), nil)
		return status, err
	}, patience).Should(Equal(http.StatusOK))
	return stop
}

// mutually makes a request as Irene and its builds do.
func mutually(t *testing.T, c *cloud, method, url, body string) (int, string) {
	t.Helper()
	g := NewWithT(t)
	pair, err := tls.LoadX509KeyPair(c.certificate(ireneCertificate), c.key(ireneCertificate))
	g.Expect(err).NotTo(HaveOccurred())
	authorities, err := cert.NewPool(c.authority())
	g.Expect(err).NotTo(HaveOccurred())
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: authorities}}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	g.Expect(err).NotTo(HaveOccurred())
	response, err := client.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(answer)
}

func TestCloudControllerTakesABuildFromAnotherProcess(t *testing.T) {
	g := NewWithT(t)
	c, stop := startedCloudController(t)
	ctx := context.Background()
	_, err := c.newBuild(ctx, opiDoor, standin.Build{Package: "none"})
	g.Expect(err).To(MatchError(ContainSubstring(`there is no package "none"`)))
	g.Expect(c.uploadPackage(ctx, "source", strings.NewReader("PK"), 2)).To(Succeed())
	_, err = c.newBuild(ctx, opiDoor, standin.Build{Package: "source", Buildpacks: []string{"cobol"}})
	g.Expect(err).To(MatchError(ContainSubstring(`there is no buildpack "cobol"`)))

	started, err := c.newBuild(ctx, opiDoor, standin.Build{AppName: "app", Package: "source", Environment: map[string]string{"A": "b"}})
	g.Expect(err).NotTo(HaveOccurred())
	var request struct {
		Callback  string `json:"completion_callback"`
		Lifecycle struct {
			Buildpack struct {
				Source     string `json:"app_bits_download_uri"`
				Droplet    string `json:"droplet_upload_uri"`
				Buildpacks []struct{ Name string }
			} `json:"buildpack_lifecycle"`
		}
	}
	g.Expect(json.Unmarshal(started.Request, &request)).To(Succeed())
	status, answer := mutually(t, c, http.MethodGet, request.Lifecycle.Buildpack.Source, "")
	g.Expect([]any{status, answer}).To(Equal([]any{http.StatusOK, "PK"}))
	g.Expect(request.Lifecycle.Buildpack.Buildpacks).To(HaveLen(3))
	g.Expect(request.Lifecycle.Buildpack.Buildpacks[0].Name).To(Equal("static"))

	status, answer = mutually(t, c, http.MethodPost, request.Lifecycle.Buildpack.Droplet, "a droplet")
	g.Expect(status).To(Equal(http.StatusCreated), answer)
	ended := make(chan standin.Build, 1)
	go func() {
		build, err := c.waitForBuild(ctx, started.GUID)
		if err == nil {
			ended <- build
		}
	}()
	result := `{"result":{"lifecycle_type":"buildpack","lifecycle_metadata":{"detected_buildpack":"x"},"execution_metadata":"","process_types":{"web":"run"}}}`
	status, answer = mutually(t, c, http.MethodPost, request.Callback, result)
	g.Expect(status).To(Equal(http.StatusOK), answer)
	var build standin.Build
	g.Eventually(ended, patience).Should(Receive(&build))
	g.Expect(build.State).To(Equal(standin.Staged))
	g.Expect(build.ProcessTypes).To(Equal(map[string]string{"web": "run"}))

	again, err := c.waitForBuild(ctx, started.GUID)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(build))
	g.Expect(filepath.Glob(c.at(cloudControllerName, blobsFolder, "*"))).To(HaveLen(3), "what is left are the buildpacks")

	// The droplet outlives a kill; builds don't.
	stop()
	runCloudController(t, c)
	status, answer, err = call(ctx, http.MethodGet, c.dropletURL(build.Droplet.GUID, build.Droplet.Blob.SHA1), nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]any{status, answer}).To(Equal([]any{http.StatusOK, "a droplet"}))
	_, err = c.waitForBuild(ctx, started.GUID)
	g.Expect(err).To(MatchError(ContainSubstring("there is no build")))
	g.Expect(c.addProcess(ctx, "process", keptDroplet{GUID: build.Droplet.GUID, SHA1: build.Droplet.Blob.SHA1})).To(Succeed())
	status, answer = mutually(t, c, http.MethodGet, c.cloudControllerURL()+"/internal/v4/droplets/process/"+build.Droplet.Blob.SHA256+"/download", "")
	g.Expect([]any{status, answer}).To(Equal([]any{http.StatusOK, "a droplet"}), "Irene fetches it by the process")
	status, _ = mutually(t, c, http.MethodPost, c.cloudControllerURL()+"/internal/v4/apps/process/crashed", "{}")
	g.Expect(status).To(Equal(http.StatusOK), "crashes of the process are reported")
	g.Expect(c.addProcess(ctx, "process", keptDroplet{GUID: "gone", SHA1: "gone"})).To(MatchError(ContainSubstring("no such file")))
	g.Expect(c.uploadPackage(ctx, "source", strings.NewReader("PK"), 2)).To(Succeed())
}

func TestSampleDropletOfAnEarlierBuildGoes(t *testing.T) {
	g := NewWithT(t)
	c, _ := startedCloudController(t)
	get := func(guid string) (int, string) {
		status, answer, err := call(context.Background(), http.MethodGet, c.dropletURL(guid, "hash"), nil)
		g.Expect(err).NotTo(HaveOccurred())
		return status, answer
	}
	for _, guid := range []string{"one", "one", "two"} {
		c.image = sampleImage{dropletGUID: guid, dropletHash: "hash"}
		g.Expect(c.storeDroplet([]byte("a droplet"))).To(Succeed())
		status, answer := get(guid)
		g.Expect([]any{status, answer}).To(Equal([]any{http.StatusOK, "a droplet"}))
	}
	status, _ := get("one")
	g.Expect(status).To(Equal(http.StatusNotFound), "the sample app was built again")
}

func TestCloudControllerMakesBuildsForEitherDoor(t *testing.T) {
	g := NewWithT(t)
	c, _ := startedCloudController(t)
	g.Expect(c.uploadPackage(t.Context(), "source", strings.NewReader("PK"), 2)).To(Succeed())
	started, err := c.newBuild(t.Context(), bbsDoor, standin.Build{AppName: "app", Package: "source"})
	g.Expect(err).NotTo(HaveOccurred())
	var definition models.TaskDefinition
	g.Expect(definition.Unmarshal(started.Request)).To(Succeed())
	g.Expect(definition.Validate()).To(Succeed())
	g.Expect(definition.CompletionCallbackUrl).To(HavePrefix(c.cloudControllerURL() + "/internal/v3/staging/" + started.GUID))
	status, answer := mutually(t, c, http.MethodGet, definition.ImageLayers[1].Url, "")
	g.Expect([]any{status, answer}).To(Equal([]any{http.StatusOK, "PK"}))
}

func TestCertificatesAreMadeOnceForAnAddress(t *testing.T) {
	g := NewWithT(t)
	c := &cloud{folder: &folder{path: t.TempDir()}, state: state{CloudControllerAddress: "10.1.2.3:9022"}}
	read := func() string {
		g.Expect(c.makeCertificates()).To(Succeed())
		content, err := os.ReadFile(c.certificate(bbsCertificate))
		g.Expect(err).NotTo(HaveOccurred())
		return string(content)
	}
	first := read()
	g.Expect(read()).To(Equal(first))
	c.state.CloudControllerAddress = "10.1.2.4:9022"
	g.Expect(read()).NotTo(Equal(first))
	info, err := os.Stat(c.key(bbsCertificate))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
}
