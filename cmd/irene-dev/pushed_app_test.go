package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/helloapp"
)

// irene answers as Irene does and keeps what it was asked.
type irene struct {
	apps  string
	asked []string
}

func (i *irene) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.asked = append(i.asked, r.Method+" "+r.URL.Path)
	switch {
	case r.Method == http.MethodGet:
		_, _ = w.Write([]byte(i.apps))
	case strings.HasSuffix(r.URL.Path, "/stop"):
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func TestPushedAppsAreDesiredAgain(t *testing.T) {
	g := NewWithT(t)
	asked := &irene{}
	server := httptest.NewServer(asked)
	defer server.Close()
	c := &cloud{folder: &folder{path: t.TempDir()}, state: state{API: strings.TrimPrefix(server.URL, "http://")}}
	g.Expect(c.desirePushed(t.Context())).To(Equal("none so far"))
	g.Expect(c.pushedApp("one")).To(Equal(pushedApp{}))
	one := pushedApp{Name: "one", GUID: "g1", Version: "v", Droplet: "d", Source: "s", Requests: map[string][]byte{"g1-v": []byte("{}"), "g2-v": []byte("{}")}}
	g.Expect(c.remember(one)).To(Succeed())
	g.Expect(c.remember(pushedApp{Name: "two", GUID: "g3", Version: "v", Requests: map[string][]byte{"g3-v": []byte("{}")}})).To(Succeed())
	g.Expect(c.pushedApp("one")).To(Equal(one))
	g.Expect(c.desirePushed(t.Context())).To(Equal("one, two"))
	g.Expect(asked.asked).To(Equal([]string{"PUT /apps/g1-v", "PUT /apps/g2-v", "PUT /apps/g3-v"}))
	info, err := os.Stat(c.appFile("one"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600), "requests may hold secrets")

	g.Expect(os.WriteFile(c.appFile("two"), []byte("{"), 0o600)).To(Succeed())
	_, err = c.desirePushed(t.Context())
	g.Expect(err).To(MatchError(HavePrefix("what was pushed as two: ")))
}

func TestOnlyUnwantedVersionsAreStopped(t *testing.T) {
	g := NewWithT(t)
	asked := &irene{apps: `{"desired_lrp_scheduling_infos":[{"guid":"g1","version":"old"},{"guid":"g1","version":"new"},{"guid":"g","version":"old"}]}`}
	server := httptest.NewServer(asked)
	defer server.Close()
	c := &cloud{state: state{API: strings.TrimPrefix(server.URL, "http://")}}
	app := pushedApp{GUID: "g1", Version: "new", Requests: map[string][]byte{"g1-new": nil}}
	g.Expect(c.stopVersions(t.Context(), func(guid, version string) bool { return app.has(guid) && version != app.Version })).To(Equal(1))
	g.Expect(asked.asked).To(Equal([]string{"GET /apps", "PUT /apps/g1/old/stop"}))
}

func TestProcessesOfAnAppKeepTheirGuids(t *testing.T) {
	g := NewWithT(t)
	g.Expect(processGUID("app", webProcess)).To(Equal(appGUID("app")))
	g.Expect(processGUID("app", "worker")).To(Equal(processGUID("app", "worker")))
	g.Expect(processGUID("app", "worker")).NotTo(Equal(appGUID("app")))
	g.Expect(appGUID("other")).NotTo(Equal(appGUID("app")))
}

func TestPushOptionsMayStandAnywhere(t *testing.T) {
	g := NewWithT(t)
	for _, args := range [][]string{
		{"/src", "--name", "app", "--env", "A=b=c", "--buildpack", "toolbox", "--buildpack", "static", "--memory", "64"},
		{"--name", "app", "--env", "A=b=c", "/src", "--buildpack", "toolbox", "--buildpack", "static", "--memory", "64"},
		{"--name=app", "--env=A=b=c", "--buildpack=toolbox", "--buildpack=static", "--memory=64", "/src"},
	} {
		o, err := parsePushOptions(args)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(o.path).To(Equal("/src"))
		g.Expect(o.route()).To(Equal("app.localhost"))
		g.Expect(o.environment).To(Equal(map[string]string{"A": "b=c"}))
		g.Expect(o.buildpacks).To(Equal([]string{"toolbox", "static"}))
		g.Expect([]int{o.memoryMB, o.diskMB}).To(Equal([]int{64, defaultDiskMB}))
		g.Expect(o.bin).To(Equal(absolute("bin")))
	}
}

func TestHelloAppIsPushedOnce(t *testing.T) {
	g := NewWithT(t)
	c := &cloud{folder: &folder{path: t.TempDir()}}
	sum := sha256.New()
	_, err := archiveSource(helloapp.Files(), sum)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.remember(pushedApp{Name: helloName, Source: hex.EncodeToString(sum.Sum(nil))})).To(Succeed())
	var out bytes.Buffer
	g.Expect(c.pushHello(t.Context(), &out)).To(Succeed())
	g.Expect(out.String()).To(Equal("The hello app is as it was pushed.\n"))

	g.Expect(c.remember(pushedApp{Name: helloName, Source: "what it was"})).To(Succeed())
	g.Expect(c.pushHello(t.Context(), &out)).To(MatchError(ContainSubstring("upload: ")), "nobody is there to take it")
	g.Expect(out.String()).To(ContainSubstring("pushed from source:\n[1/5] pack the files of fixtures/helloapp ... 3 files,"))
}
