package bbs_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"code.cloudfoundry.org/bbs/models"
	"code.cloudfoundry.org/lager/v3"
	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

// The process of most examples.
const (
	appGUID     = "1f1b1a52-8a0c-4f0e-9d41-5b6a0c2c0a01"
	processGUID = appGUID + "-7c3a2f6e-51a4-4a5d-8a53-0b6f8d9e1c02"
)

// message is a generated message.
type message interface {
	Marshal() ([]byte, error)
	Unmarshal(body []byte) error
}

// door is a handler with all that it works with.
type door struct {
	http.Handler
	platform *platform
	work     *work
	refusals *opi.Refusals
	logger   *lagertest.TestLogger
}

func newDoor(p *platform, change ...func(*bbs.Options)) *door {
	logger := lagertest.NewTestLogger("test")
	logger.RegisterSink(lager.NewWriterSink(io.Discard, lager.DEBUG))
	w := newWork()
	options := bbs.Options{LRPs: p, Tasks: w, Builds: builds{w}, Refusals: opi.NewRefusals(), Logger: logger}
	for _, f := range change {
		f(&options)
	}
	return &door{Handler: bbs.NewHandler(options), platform: p, work: w, refusals: options.Refusals, logger: logger}
}

// example returns the bytes of one of Cloud Controller's messages.
func example(g Gomega, name string) []byte {
	body, err := fixtures.BBS.ReadFile("bbs/bbs-" + name + ".pb")
	g.ExpectWithOffset(1, err).NotTo(HaveOccurred())
	return body
}

// send posts a body and returns the answer.
func (d *door) send(path string, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/x-protobuf")
	answer := httptest.NewRecorder()
	d.ServeHTTP(answer, request)
	return answer
}

// post posts a message and decodes the answer, which is a message in any case.
func (d *door) post(g Gomega, path string, request, response message) {
	body, err := request.Marshal()
	g.ExpectWithOffset(1, err).NotTo(HaveOccurred())
	decode(g, d.send(path, body), response)
}

func (d *door) sendMessage(g Gomega, path string, request message) *httptest.ResponseRecorder {
	body, err := request.Marshal()
	g.ExpectWithOffset(1, err).NotTo(HaveOccurred())
	return d.send(path, body)
}

func decode(g Gomega, answer *httptest.ResponseRecorder, response message) {
	g.ExpectWithOffset(2, answer.Code).To(Equal(http.StatusOK), answer.Body.String())
	g.ExpectWithOffset(2, answer.Header().Get("Content-Type")).To(Equal("application/x-protobuf"))
	g.ExpectWithOffset(2, response.Unmarshal(answer.Body.Bytes())).To(Succeed())
}

// sshRouteOfExample is the value of the key diego-ssh in the examples.
func sshRouteOfExample(g Gomega) json.RawMessage {
	var response models.DesiredLRPResponse
	g.Expect(response.Unmarshal(example(g, "41-desired-lrp-response"))).To(Succeed())
	return *(*response.DesiredLrp.Routes)["diego-ssh"]
}

var (
	text = func(value string) opi.MetricTag { return opi.MetricTag{Text: value} }

	exampleSince = time.Unix(0, 1796000000123456789)
)

// dora is the LRP of the examples 14 to 43, as the platform has it.
func dora() opi.PresentLRP {
	return opi.PresentLRP{
		DesiredLRP: opi.DesiredLRP{
			LRPIdentifier: opi.ParseProcessGUID(processGUID),
			Door:          opi.DoorBBS, Domain: "cf-apps",
			Instances:  3,
			Annotation: "1796000000.123456",
			Routes: opi.Routes{
				HTTP: []opi.HTTPRoute{
					{Hostname: "dora.example.com", Port: 8080, IsolationSegment: "segment-one"},
					{
						Hostname: "dora.example.com/v2", Port: 8081, RouteServiceURL: "https://rs.example.com/x", IsolationSegment: "segment-one",
						Protocol: "http2", Options: map[string]json.RawMessage{"loadbalancing": json.RawMessage(`"least-connection"`)},
					},
				},
				TCP:      []opi.TCPRoute{{RouterGroupGUID: "9f4e0000-0000-4000-8000-000000000014", ExternalPort: 61001, Port: 8082}},
				Internal: []opi.InternalRoute{{Hostname: "dora.apps.internal"}},
			},
			MetricTags: map[string]opi.MetricTag{
				"source_id": text(appGUID), "app_id": text(appGUID), "process_id": text(appGUID), "process_type": text("web"), "team": text("orders"),
				"space_id": text("5a2c4e68-1b3d-4f5a-8c7e-9d0b1a2c3e03"), "space_name": text("dev"), "app_name": text("dora"),
				"organization_id": text("6b3d5f79-2c4e-4a6b-9d8f-0e1c2b3d4f04"), "organization_name": text("acme"),
				"instance_id": {Dynamic: opi.TagIndex}, "process_instance_id": {Dynamic: opi.TagInstanceGUID},
			},
			App:           opi.Owner{GUID: appGUID, Name: "dora"},
			PlacementTags: []string{"segment-one"},
			Ports:         []int32{8080, 8081, 8082},
			RootFS:        opi.RootFS{Stack: "cflinuxfs4"},
			Limits:        opi.Limits{MemoryMiB: 1024, DiskMiB: 1024},
			Modification:  opi.ModificationTag{Epoch: "0f0f0f0f-0000-4000-8000-000000000021", Index: 4},
		},
		States: []opi.Instance{
			{
				Index: 0, GUID: "aaaaaaaa-0000-4000-8000-000000000000", State: opi.InstanceRunning, Since: exampleSince, Routable: true,
				Cell: "node-1", Zone: "z1", Address: "10.244.1.17", Modification: exampleModification,
			},
			{
				Index: 1, GUID: "aaaaaaaa-0000-4000-8000-000000000001", State: opi.InstanceClaimed, Since: exampleSince,
				Cell: "node-1", Zone: "z1", Address: "10.244.1.18", Modification: exampleModification,
			},
			{
				Index: 2, GUID: "aaaaaaaa-0000-4000-8000-000000000002", State: opi.InstanceCrashed, Since: exampleSince,
				Cell: "node-1", Zone: "z1", Crashes: 3, CrashReason: "APP/PROC/WEB: Exited with status 1", Modification: exampleModification,
			},
		},
	}
}

var exampleModification = opi.ModificationTag{Epoch: "eeeeeeee-0000-4000-8000-000000000022", Index: 1}

func jsonText(value string) json.RawMessage { return json.RawMessage(value) }
