package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"code.cloudfoundry.org/bbs/models"
	"github.com/gogo/protobuf/proto"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/util/cert"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/helloapp"
)

// doors are Irene's two doors. They keep what runs and what they were asked.
type doors struct {
	mutex sync.Mutex
	// lrps are annotations by process guid, by door.
	lrps  map[string]map[string]string
	asked []string
}

func newDoors(t *testing.T, c *cloud) *doors {
	t.Helper()
	g := NewWithT(t)
	d := &doors{lrps: map[string]map[string]string{bbsDoor: {}, opiDoor: {}}}
	opi := httptest.NewServer(http.HandlerFunc(d.serveOPI))
	t.Cleanup(opi.Close)
	c.state.API = strings.TrimPrefix(opi.URL, "http://")
	pair, err := tls.LoadX509KeyPair(c.certificate(bbsCertificate), c.key(bbsCertificate))
	g.Expect(err).NotTo(HaveOccurred())
	authorities, err := cert.NewPool(c.authority())
	g.Expect(err).NotTo(HaveOccurred())
	bbs := httptest.NewUnstartedServer(http.HandlerFunc(d.serveBBS))
	bbs.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authorities}
	bbs.StartTLS()
	t.Cleanup(bbs.Close)
	c.state.BBS = strings.TrimPrefix(bbs.URL, "https://")
	return d
}

func (d *doors) serveOPI(w http.ResponseWriter, r *http.Request) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	words := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodGet && len(words) == 1:
		infos := []any{}
		for guid, annotation := range d.lrps[opiDoor] {
			infos = append(infos, map[string]any{"desired_lrp_key": map[string]any{"process_guid": guid}, "annotation": annotation})
		}
		answerJSON(w, map[string]any{"desired_lrp_scheduling_infos": infos})
	case r.Method == http.MethodGet:
		if _, there := d.lrps[opiDoor][words[1]+"-"+words[2]]; !there {
			w.WriteHeader(http.StatusNotFound)
		}
	case words[len(words)-1] == "stop":
		d.asked = append(d.asked, "opi stop "+words[1])
		delete(d.lrps[opiDoor], words[1]+"-"+words[2])
	default:
		d.asked = append(d.asked, "opi "+r.Method+" "+words[1])
		d.lrps[opiDoor][words[1]] = "present"
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusAccepted)
		}
	}
}

func (d *doors) serveBBS(w http.ResponseWriter, r *http.Request) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	body, _ := io.ReadAll(r.Body)
	var answer proto.Message = &models.DesiredLRPLifecycleResponse{}
	switch r.URL.Path {
	case "/v1/desired_lrp_scheduling_infos/list":
		list := &models.DesiredLRPSchedulingInfosResponse{}
		for guid, annotation := range d.lrps[bbsDoor] {
			list.DesiredLrpSchedulingInfos = append(list.DesiredLrpSchedulingInfos, &models.DesiredLRPSchedulingInfo{
				DesiredLRPKey: models.DesiredLRPKey{ProcessGuid: guid}, Annotation: annotation, Routes: models.Routes{},
			})
		}
		answer = list
	case "/v1/desired_lrps/get_by_process_guid.r2":
		var request models.DesiredLRPByProcessGuidRequest
		_ = request.Unmarshal(body)
		found := &models.DesiredLRPResponse{Error: models.ErrResourceNotFound}
		if _, there := d.lrps[bbsDoor][request.ProcessGuid]; there {
			found = &models.DesiredLRPResponse{DesiredLrp: &models.DesiredLRP{Routes: &models.Routes{}}}
		}
		answer = found
	case "/v1/desired_lrp/desire.r2":
		var request models.DesireLRPRequest
		_ = request.Unmarshal(body)
		d.asked = append(d.asked, "bbs desire "+request.DesiredLrp.ProcessGuid)
		d.lrps[bbsDoor][request.DesiredLrp.ProcessGuid] = request.DesiredLrp.Annotation
	case "/v1/desired_lrp/update":
		var request models.UpdateDesiredLRPRequest
		_ = request.Unmarshal(body)
		d.asked = append(d.asked, fmt.Sprintf("bbs update %s to %d", request.ProcessGuid, request.Update.GetInstances()))
	case "/v1/desired_lrp/remove":
		var request models.RemoveDesiredLRPRequest
		_ = request.Unmarshal(body)
		d.asked = append(d.asked, "bbs stop "+request.ProcessGuid)
		delete(d.lrps[bbsDoor], request.ProcessGuid)
	default:
		d.asked = append(d.asked, "bbs "+r.URL.Path)
	}
	content, _ := proto.Marshal(answer)
	_, _ = w.Write(content)
}

// processOf is a process of a version, which is one letter.
func processOf(guid, version string) cloudcontroller.Process {
	return cloudcontroller.Process{GUID: guid, Version: version, Type: webProcess, Stack: stackName, UpdatedAt: sampleUpdatedAt}
}

func TestPushedAppsAreDesiredAgain(t *testing.T) {
	g := NewWithT(t)
	c, _ := startedCloudController(t)
	asked := newDoors(t, c)
	c.app = sampleApp{guid: sampleGUID, version: "v"}
	asked.lrps[opiDoor][sampleGUID+"-v"] = sampleProcess(c.image, c.app).Annotation()
	g.Expect(c.desirePushed(t.Context())).To(Equal("none so far"))
	g.Expect(asked.asked).To(Equal([]string{"bbs /v1/domains/upsert"}))
	g.Expect(c.pushedApp("one")).To(Equal(pushedApp{}))
	guids := []string{cloudcontroller.NewGUID(), cloudcontroller.NewGUID(), cloudcontroller.NewGUID()}
	one := pushedApp{Name: "one", GUID: guids[0], Version: "v", Source: "s", Door: bbsDoor, Processes: []cloudcontroller.Process{processOf(guids[0], "v"), processOf(guids[1], "v")}}
	g.Expect(c.remember(one)).To(Succeed())
	g.Expect(c.remember(pushedApp{Name: "two", GUID: guids[2], Version: "v", Door: opiDoor, Processes: []cloudcontroller.Process{processOf(guids[2], "v")}})).To(Succeed())
	g.Expect(c.pushedApp("one")).To(HaveField("Processes", HaveLen(2)))
	asked.asked, asked.lrps[bbsDoor]["left-over"] = nil, "some"
	g.Expect(c.desirePushed(t.Context())).To(Equal("one, two"))
	g.Expect(asked.asked).To(ConsistOf("bbs desire "+guids[0]+"-v", "bbs desire "+guids[1]+"-v", "bbs stop left-over", "bbs /v1/domains/upsert", "opi PUT "+guids[2]+"-v"))
	info, err := os.Stat(c.appFile("one"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600), "its variables may hold secrets")

	asked.asked = nil
	g.Expect(scaleApp(t.Context(), scaleOptions{}, io.Discard)).To(HaveOccurred(), "nothing runs")
	door, err := c.frontDoor(bbsDoor)
	g.Expect(err).NotTo(HaveOccurred())
	scaled := processOf(guids[0], "v")
	scaled.Instances = 3
	g.Expect(door.Desire(t.Context(), scaled)).To(Succeed())
	g.Expect(asked.asked).To(Equal([]string{"bbs update " + guids[0] + "-v to 3"}))

	g.Expect(os.WriteFile(c.appFile("two"), []byte("{"), 0o600)).To(Succeed())
	_, err = c.desirePushed(t.Context())
	g.Expect(err).To(MatchError(HavePrefix("what was pushed as two: ")))
}

func TestAppsAreStoppedAtTheDoorTheyCameBy(t *testing.T) {
	g := NewWithT(t)
	c := &cloud{folder: &folder{path: t.TempDir()}, state: state{CloudControllerAddress: "127.0.0.1:9022"}}
	g.Expect(c.makeCertificates()).To(Succeed())
	asked := newDoors(t, c)
	app, other := cloudcontroller.NewGUID(), cloudcontroller.NewGUID()
	asked.lrps[opiDoor] = map[string]string{app + "-old": "", other + "-old": ""}
	asked.lrps[bbsDoor] = map[string]string{app + "-new": "", app + "-killed": ""}
	pushed := pushedApp{GUID: app, Version: "new", Door: bbsDoor, Processes: []cloudcontroller.Process{processOf(app, "new")}}
	g.Expect(c.stopVersions(t.Context(), func(guid, version string) bool { return pushed.has(guid) && version != pushed.Version })).To(Equal(2))
	g.Expect(asked.asked).To(Equal([]string{"bbs stop " + app + "-killed", "opi stop " + app}), "the app moved from one door to the other")
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
		g.Expect(o.door).To(Equal(bbsDoor))
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
	g.Expect(c.remember(pushedApp{Name: helloName, Door: bbsDoor, Source: hex.EncodeToString(sum.Sum(nil))})).To(Succeed())
	var out bytes.Buffer
	g.Expect(c.pushHello(t.Context(), &out)).To(Succeed())
	g.Expect(out.String()).To(Equal("The hello app is as it was pushed.\n"))

	g.Expect(c.remember(pushedApp{Name: helloName, Door: bbsDoor, Source: "what it was"})).To(Succeed())
	g.Expect(c.pushHello(t.Context(), &out)).To(MatchError(ContainSubstring("upload: ")), "nobody is there to take it")
	g.Expect(out.String()).To(ContainSubstring("pushed from source:\n[1/5] pack the files of fixtures/helloapp ... 3 files,"))
}
