package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

// startedCloudController is a cloud that has nothing but Cloud Controller's stand-in.
func startedCloudController(t *testing.T) (c *cloud, kill func()) {
	t.Helper()
	g := NewWithT(t)
	c = &cloud{folder: &folder{path: t.TempDir()}}
	g.Expect(chooseAddress(&c.state.CloudControllerAddress, "127.0.0.1:0")).To(Succeed())
	g.Expect(chooseAddress(&c.state.ControlAddress, "127.0.0.1:0")).To(Succeed())
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
	o := cloudControllerOptions{c.state.CloudControllerAddress, c.state.ControlAddress, c.at(cloudControllerName), c.at("fileserver")}
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

func TestCloudControllerTakesABuildFromAnotherProcess(t *testing.T) {
	g := NewWithT(t)
	c, stop := startedCloudController(t)
	ctx := context.Background()
	_, err := c.newBuild(ctx, standin.Build{Package: "none"})
	g.Expect(err).To(MatchError(ContainSubstring(`there is no package "none"`)))
	g.Expect(c.uploadPackage(ctx, "source", strings.NewReader("PK"), 2)).To(Succeed())
	_, err = c.newBuild(ctx, standin.Build{Package: "source", Buildpacks: []string{"cobol"}})
	g.Expect(err).To(MatchError(ContainSubstring(`there is no buildpack "cobol"`)))

	started, err := c.newBuild(ctx, standin.Build{AppName: "app", Package: "source", Environment: map[string]string{"A": "b"}})
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
	status, answer, err := call(ctx, http.MethodGet, request.Lifecycle.Buildpack.Source, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect([]any{status, answer}).To(Equal([]any{http.StatusOK, "PK"}))
	g.Expect(request.Lifecycle.Buildpack.Buildpacks).To(HaveLen(3))
	g.Expect(request.Lifecycle.Buildpack.Buildpacks[0].Name).To(Equal("static"))

	upload, err := http.Post(request.Lifecycle.Buildpack.Droplet, "", strings.NewReader("a droplet"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(upload.Body.Close()).To(Succeed())
	g.Expect(upload.StatusCode).To(Equal(http.StatusCreated))
	ended := make(chan standin.Build, 1)
	go func() {
		build, err := c.waitForBuild(ctx, started.GUID)
		if err == nil {
			ended <- build
		}
	}()
	result := `{"result":{"lifecycle_type":"buildpack","lifecycle_metadata":{"detected_buildpack":"x"},"execution_metadata":"","process_types":{"web":"run"}}}`
	status, answer, err = call(ctx, http.MethodPost, request.Callback, []byte(result))
	g.Expect(err).NotTo(HaveOccurred())
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
