//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"code.cloudfoundry.org/bbs/models"
	"github.com/gogo/protobuf/proto"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/k8s/keys"
)

func (d diego) desire(ctx context.Context, lrp *models.DesiredLRP) *models.Error {
	GinkgoHelper()
	var answer models.DesiredLRPLifecycleResponse
	d.call(ctx, "/v1/desired_lrp/desire.r2", &models.DesireLRPRequest{DesiredLrp: lrp}, &answer)
	return answer.Error
}

func (d diego) get(ctx context.Context, processGUID string) models.DesiredLRPResponse {
	GinkgoHelper()
	var answer models.DesiredLRPResponse
	d.call(ctx, "/v1/desired_lrps/get_by_process_guid.r2", &models.DesiredLRPByProcessGuidRequest{ProcessGuid: processGUID}, &answer)
	return answer
}

// listed returns the annotations of the LRPs of Cloud Controller's sync by process guid.
func (d diego) listed(ctx context.Context) map[string]string {
	GinkgoHelper()
	var answer models.DesiredLRPSchedulingInfosResponse
	d.call(ctx, "/v1/desired_lrp_scheduling_infos/list", &models.DesiredLRPsRequest{Domain: "cf-apps"}, &answer)
	Expect(answer.Error).To(BeNil())
	annotations := map[string]string{}
	for _, info := range answer.DesiredLrpSchedulingInfos {
		Expect(info.Domain).To(Equal("cf-apps"))
		annotations[info.ProcessGuid] = info.Annotation
	}
	return annotations
}

func (d diego) instances(ctx context.Context, processGUID string) []*models.ActualLRP {
	GinkgoHelper()
	var answer models.ActualLRPsResponse
	d.call(ctx, "/v1/actual_lrps/list", &models.ActualLRPsRequest{ProcessGuid: processGUID}, &answer)
	Expect(answer.Error).To(BeNil())
	return answer.ActualLrps
}

// states returns "STATE" or "STATE: placement error" of each instance.
func (d diego) states(ctx context.Context, processGUID string) func() []string {
	return func() []string {
		GinkgoHelper()
		states := []string{}
		for _, instance := range d.instances(ctx, processGUID) {
			state := instance.State
			if instance.PlacementError != "" {
				state += ": " + instance.PlacementError
			}
			states = append(states, state)
		}
		return states
	}
}

// exampleLRP returns one of the LRPs that Cloud Controller's own code made, under a guid of
// its own.
func exampleLRP(file string) *models.DesiredLRP {
	GinkgoHelper()
	content, err := fixtures.BBS.ReadFile("bbs/" + file)
	Expect(err).NotTo(HaveOccurred())
	var request models.DesireLRPRequest
	Expect(proto.Unmarshal(content, &request)).To(Succeed())
	request.DesiredLrp.ProcessGuid = cloudcontroller.NewGUID() + "-" + cloudcontroller.NewGUID()
	return request.DesiredLrp
}

func processGUIDOf(lrp *models.DesiredLRP) string { return lrp.ProcessGuid[:36] }

var _ = Describe("The BBS door", Ordered, ContinueOnFailure, func() {
	var (
		place *assembling
		cc    diego
	)
	BeforeAll(func(ctx context.Context) {
		works, err := imageworks.Start(GinkgoT().TempDir(), GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(works.Stop)
		settings := works.Settings()
		settings["leader_election"] = map[string]any{"enabled": false}
		// Droplets come from the URLs of requests alone.
		address, _, _ := strings.Cut(works.Droplets.URL(), "/{")
		settings["cloud_controller"] = map[string]any{"url": address}
		settings["droplets"] = map[string]any{"source": map[string]any{"url": ""}}
		settings["bbs"] = bbsDoor()
		place = &assembling{Platform: newPlatform(ctx, direct(), settings), Works: works}
		place.importStack(ctx)
		place.irene = place.Start(ctx)
		cc = diego{place.irene.BBSURL}
	}, NodeTimeout(3*time.Minute))

	// app returns an LRP with a droplet that its URL leads to.
	app := func(from droplet.Droplet) *models.DesiredLRP {
		GinkgoHelper()
		lrp := exampleLRP("bbs-02-desire-lrp-buildpack-plain.pb")
		lrp.RootFs = "preloaded:" + imageworks.StackName
		download := lrp.Setup.GetSerialAction().GetActions()[0].GetDownloadAction()
		download.From = strings.NewReplacer("{partition}", from.GUID[:2]+"/"+from.GUID[2:4], "{droplet_guid}", from.GUID, "{hash}", from.Hash).Replace(place.Droplets.URL())
		download.ChecksumAlgorithm, download.ChecksumValue = "sha1", from.Hash
		lrp.Instances = 2
		return lrp
	}

	It("starts, lists, changes and stops an app whose droplet it fetches from the request's URL", func(ctx context.Context) {
		from := place.newDroplet()
		lrp := app(from)
		Expect(cc.desire(ctx, lrp)).To(BeNil())
		Expect(cc.listed(ctx)).To(HaveKeyWithValue(lrp.ProcessGuid, lrp.Annotation))
		Eventually(cc.states(ctx, lrp.ProcessGuid)).Should(Equal([]string{"RUNNING", "RUNNING"}))
		set := place.StatefulSet(ctx, processGUIDOf(lrp))
		Expect(set.Annotations).NotTo(HaveKey(keys.AwaitedImage))
		Expect(set.Annotations).To(HaveKeyWithValue(keys.Door, "bbs"))
		Expect(set.Spec.Template.Spec.Containers[0].Image).To(ContainSubstring(":" + from.Hash + "-"))
		Expect(place.Droplets.Requests(from.GUID)).To(Equal(1))
		for _, instance := range cc.instances(ctx, lrp.ProcessGuid) {
			Expect(instance.ActualLRPInstanceKey.InstanceGuid).NotTo(BeEmpty())
			Expect(instance.GetRoutable()).To(BeTrue())
			Expect(instance.ActualLRPNetInfo.Address).NotTo(BeEmpty())
		}

		found := cc.get(ctx, lrp.ProcessGuid)
		Expect(found.Error).To(BeNil())
		Expect(found.DesiredLrp.MetricTags).To(HaveKey("process_id"))
		Expect(found.DesiredLrp.Routes).NotTo(BeNil())
		Expect(*found.DesiredLrp.Routes).NotTo(HaveKey("diego-ssh"))

		var changed models.DesiredLRPLifecycleResponse
		update := &models.DesiredLRPUpdate{MetricTags: map[string]*models.MetricTagValue{"process_id": {Static: "another"}}}
		update.SetInstances(1)
		update.SetAnnotation("1796000001.5")
		cc.call(ctx, "/v1/desired_lrp/update", &models.UpdateDesiredLRPRequest{ProcessGuid: lrp.ProcessGuid, Update: update}, &changed)
		Expect(changed.Error).To(BeNil())
		Expect(cc.listed(ctx)).To(HaveKeyWithValue(lrp.ProcessGuid, "1796000001.5"))
		Expect(cc.get(ctx, lrp.ProcessGuid).DesiredLrp.MetricTags["process_id"].Static).To(Equal("another"))
		Eventually(cc.states(ctx, lrp.ProcessGuid)).Should(Equal([]string{"RUNNING"}))

		// A restart is a new version; its image is there already.
		again := app(from)
		again.ProcessGuid = processGUIDOf(lrp) + "-" + cloudcontroller.NewGUID()
		Expect(cc.desire(ctx, again)).To(BeNil())
		Eventually(cc.states(ctx, again.ProcessGuid)).Should(Equal([]string{"RUNNING", "RUNNING"}))
		Expect(place.Droplets.Requests(from.GUID)).To(Equal(1))
		for _, guid := range []string{lrp.ProcessGuid, again.ProcessGuid} {
			var removed models.DesiredLRPLifecycleResponse
			cc.call(ctx, "/v1/desired_lrp/remove", &models.RemoveDesiredLRPRequest{ProcessGuid: guid}, &removed)
			Expect(removed.Error).To(BeNil())
		}
		Expect(cc.get(ctx, lrp.ProcessGuid).Error.Type).To(Equal(models.Error_ResourceNotFound))
		Eventually(place.NothingLeftOf(ctx, processGUIDOf(lrp))).Should(Succeed())
	}, patience)

	It("runs docker images, and refuses what it can't run with the reason", func(ctx context.Context) {
		lrp := exampleLRP("bbs-04-desire-lrp-docker.pb")
		Expect(cc.desire(ctx, lrp)).To(BeNil())
		Eventually(cc.states(ctx, lrp.ProcessGuid)).Should(HaveEach("RUNNING"))

		refused := exampleLRP("bbs-05-desire-lrp-cnb.pb")
		answer := cc.desire(ctx, refused)
		Expect(answer).NotTo(BeNil())
		Expect(answer.Type).To(Equal(models.Error_InvalidRequest))
		Expect(cc.states(ctx, refused.ProcessGuid)()).To(HaveEach("CRASHED: " + answer.Message))
		Expect(place.StatefulSets(ctx, processGUIDOf(refused))).To(BeEmpty())
	}, patience)

	It("renders sidecars and checks of several ports", func(ctx context.Context) {
		lrp := app(place.newDroplet())
		lrp.Action = exampleLRP("bbs-01-desire-lrp-buildpack.pb").Action // with two sidecars and an SSH daemon
		lrp.Ports = []uint32{8080, 8081}
		lrp.CheckDefinition.Checks = append(lrp.CheckDefinition.Checks, &models.Check{TcpCheck: &models.TCPCheck{Port: 8081}})
		Expect(cc.desire(ctx, lrp)).To(BeNil())
		Eventually(cc.states(ctx, lrp.ProcessGuid)).Should(HaveEach("RUNNING"))
		set := place.StatefulSet(ctx, processGUIDOf(lrp))
		Expect(set.Annotations[keys.LRP]).NotTo(Or(ContainSubstring("s3cr3t"), ContainSubstring("128m")))
		Expect(set.Spec.Template.Spec.Containers).To(HaveLen(1))
		container := set.Spec.Template.Spec.Containers[0]
		Expect(container.Args).To(Equal([]string{
			"--source=APP/PROC/WEB",
			`--sidecar={"source":"APP/PROC/WEB/SIDECAR/ENVOY","command":"./envoy --config x.yaml","environment":` +
				`{"MEMORY_LIMIT":"IRENE_SIDECAR_1_MEMORY_LIMIT","VCAP_APPLICATION":"IRENE_SIDECAR_1_VCAP_APPLICATION"}}`,
			`--sidecar={"source":"APP/PROC/WEB/SIDECAR/AGENT","command":"agent","environment":` +
				`{"MEMORY_LIMIT":"IRENE_SIDECAR_2_MEMORY_LIMIT","VCAP_APPLICATION":"IRENE_SIDECAR_2_VCAP_APPLICATION"}}`,
		}))
		Expect(container.Env).To(ContainElements(
			corev1.EnvVar{Name: "MEMORY_LIMIT", Value: "896m"}, corev1.EnvVar{Name: "IRENE_SIDECAR_1_MEMORY_LIMIT", Value: "128m"}))
		Expect(container.StartupProbe.Exec.Command).To(Equal([]string{"/lifecycle/launch", "check", "1s", "8080", "8081"}))
		Expect(container.LivenessProbe.Exec.Command).To(Equal(container.StartupProbe.Exec.Command))
		Expect(cc.desire(ctx, lrp)).To(BeNil(), "the sync desires the same again")

		By("refusing what a docker image can't have, and showing what is left out")
		image := exampleLRP("bbs-04-desire-lrp-docker.pb")
		image.CheckDefinition.Checks = append(image.CheckDefinition.Checks, &models.Check{TcpCheck: &models.TCPCheck{Port: 8081}})
		Expect(cc.desire(ctx, image)).To(BeNil())
		Expect(place.StatefulSet(ctx, processGUIDOf(image)).Spec.Template.Spec.Containers[0].LivenessProbe.TCPSocket.Port.IntValue()).To(Equal(8080))
		Eventually(place.Events(ctx, place.StatefulSet(ctx, processGUIDOf(image)).UID)).Should(ContainElement(ContainSubstring("only the first one is made")))
		refused := exampleLRP("bbs-04-desire-lrp-docker.pb")
		sidecar := *refused.Action.CodependentAction.Actions[0].RunAction
		sidecar.LogSource = "APP/PROC/WEB/SIDECAR/LOGGER"
		refused.Action.CodependentAction.Actions = append(refused.Action.CodependentAction.Actions, models.WrapAction(&sidecar))
		answer := cc.desire(ctx, refused)
		Expect(answer).NotTo(BeNil())
		Expect(answer.Message).To(ContainSubstring("sidecars are supported for apps from droplets only"))
	}, patience)

	It("has its own apps, and the OPI door its own", func(ctx context.Context) {
		from := place.newDroplet()
		lrp := app(from)
		Expect(cc.desire(ctx, lrp)).To(BeNil())
		Eventually(cc.states(ctx, lrp.ProcessGuid)).Should(HaveEach("RUNNING"))
		opi := cloudcontroller.NewDocker("opi", "registry.example.com/app@sha256:"+strings.Repeat("0", 64))
		controlplane.DesireApp(ctx, place.irene, opi)
		processGUID := fmt.Sprintf("%s-%s", opi.GUID(), opi.Version())
		Expect(cc.listed(ctx)).To(And(HaveKey(lrp.ProcessGuid), Not(HaveKey(processGUID))))
		Expect(cc.get(ctx, processGUID).Error.Type).To(Equal(models.Error_ResourceNotFound))
		listed, err := place.irene.List(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(listed).To(And(HaveKey(processGUID), Not(HaveKey(lrp.ProcessGuid))))
		Expect(place.irene.Client.Stop(ctx, opi.GUID(), opi.Version())).To(controlplane.Answered(200))
	}, patience)

	// It comes last, because the process that it starts ends with it.
	It("accepts an app at once and shows why it has no image, until it has one", func(ctx context.Context) {
		from := place.newDroplet()
		lrp := app(from)
		place.Droplets.Fail(from.GUID, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
		Expect(cc.desire(ctx, lrp)).To(BeNil())
		gone := "CRASHED: this platform does not have the app's droplet any more; stage the app again"
		Eventually(cc.states(ctx, lrp.ProcessGuid)).Should(Equal([]string{gone, gone}))
		Expect(place.Pods(ctx, processGUIDOf(lrp))).To(BeEmpty())
		Expect(cc.desire(ctx, lrp)).To(BeNil(), "the sync desires it again and again")
		Expect(place.StatefulSets(ctx, processGUIDOf(lrp))).To(HaveLen(1))

		By("scaling meanwhile")
		var changed models.DesiredLRPLifecycleResponse
		update := &models.DesiredLRPUpdate{}
		update.SetInstances(3)
		cc.call(ctx, "/v1/desired_lrp/update", &models.UpdateDesiredLRPRequest{ProcessGuid: lrp.ProcessGuid, Update: update}, &changed)
		Expect(changed.Error).To(BeNil())
		Expect(cc.states(ctx, lrp.ProcessGuid)()).To(HaveLen(3))

		place.Droplets.Fail(from.GUID, nil)
		place.irene.Kill()
		place.irene = place.Start(ctx)
		cc.url = place.irene.BBSURL
		Eventually(cc.states(ctx, lrp.ProcessGuid)).WithTimeout(90 * time.Second).Should(Equal([]string{"RUNNING", "RUNNING", "RUNNING"}))
	}, patience)
})
