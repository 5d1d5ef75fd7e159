package main

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

func TestDesireRequestHasTheShapeOfARealOne(t *testing.T) {
	g := NewWithT(t)
	app := sampleApp{guid: sampleGUID, version: sampleVersion(testImage)}
	content, err := json.Marshal(sampleProcess(testImage, app).Desire())
	g.Expect(err).NotTo(HaveOccurred())
	golden, err := fixtures.Golden.ReadFile("golden/test-app-desire.json")
	g.Expect(err).NotTo(HaveOccurred())
	var ours, theirs map[string]any
	g.Expect(json.Unmarshal(content, &ours)).To(Succeed())
	g.Expect(json.Unmarshal(golden, &theirs)).To(Succeed())
	for name := range theirs {
		g.Expect(ours).To(HaveKey(name))
	}
	g.Expect(ours).To(HaveLen(len(theirs)))
	for _, foreign := range []string{"1c559be1", "14ee9069", "b06cbcf3", "e1afaffc", "79c9de03", "fe97c9c4", "kubecf", "test-app", "dubitable"} {
		g.Expect(string(content)).NotTo(ContainSubstring(foreign))
	}
	environment := ours["environment"].(map[string]any)
	g.Expect(environment).To(HaveKey(sampleSecret))
	var vcap map[string]any
	g.Expect(json.Unmarshal([]byte(environment["VCAP_APPLICATION"].(string)), &vcap)).To(Succeed())
	g.Expect(vcap).To(HaveKeyWithValue("application_name", sampleAppName))
	g.Expect(vcap).To(HaveKeyWithValue("cf_api", "https://api.localhost"))
	g.Expect(ours["process_guid"]).To(Equal(app.guid + "-" + app.version))
	g.Expect(ours["routes"]).To(HaveKeyWithValue("cf-router", HaveLen(1)))
}

func TestProcessWithoutRoute(t *testing.T) {
	g := NewWithT(t)
	content, err := json.Marshal(cloudcontroller.Process{GUID: "g", Version: "v", Type: "worker", Command: "work", HealthCheck: "process"}.Desire())
	g.Expect(err).NotTo(HaveOccurred())
	var request map[string]any
	g.Expect(json.Unmarshal(content, &request)).To(Succeed())
	g.Expect(request["routes"]).To(HaveKeyWithValue("cf-router", BeEmpty()))
	g.Expect(request).To(HaveKeyWithValue("process_type", "worker"))
	g.Expect(request).To(HaveKeyWithValue("instances", BeEquivalentTo(0)))
	g.Expect(request).To(HaveKeyWithValue("health_check_http_endpoint", BeNil()))
	g.Expect(string(content)).To(ContainSubstring(`\"application_uris\":[]`))
}

func TestRequestsOfOlderFoldersAreRead(t *testing.T) {
	g := NewWithT(t)
	wanted := sampleProcess(testImage, sampleApp{guid: sampleGUID, version: sampleVersion(testImage)})
	wanted.HealthCheck, wanted.HealthEndpoint = "port", ""
	body, err := json.Marshal(wanted.Desire())
	g.Expect(err).NotTo(HaveOccurred())
	f := &folder{path: t.TempDir()}
	g.Expect(f.remember(pushedApp{Name: "old", Requests: map[string][]byte{"guid-version": body}})).To(Succeed())
	app, err := f.pushedApp("old")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(app.Door).To(Equal(opiDoor))
	again, err := json.Marshal(app.Processes[0].Desire())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(MatchJSON(body))
}

func TestVersionFollowsTheImage(t *testing.T) {
	g := NewWithT(t)
	g.Expect(sampleVersion(testImage)).To(Equal(sampleVersion(testImage)))
	rebuilt := testImage
	rebuilt.dropletHash = strings.Repeat("cd", 20)
	g.Expect(sampleVersion(rebuilt)).NotTo(Equal(sampleVersion(testImage)))
	g.Expect(testImage.reference()).To(Equal("10.1.2.3:5001/cloudfoundry/" + testImage.dropletGUID + ":" + testImage.dropletHash + "-0123456789ab"))
}
