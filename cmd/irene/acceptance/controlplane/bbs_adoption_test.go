//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/loopback"
	"github.com/irene-cf/irene/k8s/keys"
)

// bothDoors are settings with both doors open.
func bothDoors(adoptOPI bool) map[string]any {
	return map[string]any{"listen": map[string]any{"address": loopback.Address(), "plaintext": true}, "adopt_opi": adoptOPI}
}

// synced is what a round of Cloud Controller's sync of processes did, by process guid.
type synced struct{ Desired, Updated, Removed []string }

// sync does what Cloud Controller's clock does every 30 s (contract/bbs.md 5.2), for processes
// as it has them.
func (d diego) sync(ctx context.Context, processes ...*models.DesiredLRP) (did synced) {
	GinkgoHelper()
	left := d.listed(ctx)
	for _, process := range processes {
		annotation, present := left[process.ProcessGuid]
		delete(left, process.ProcessGuid)
		switch {
		case !present:
			Expect(d.desire(ctx, process)).To(BeNil())
			did.Desired = append(did.Desired, process.ProcessGuid)
		case annotation != process.Annotation:
			Expect(d.update(ctx, process)).To(BeNil())
			did.Updated = append(did.Updated, process.ProcessGuid)
		}
	}
	for guid := range left {
		Expect(d.remove(ctx, guid)).To(BeNil())
		did.Removed = append(did.Removed, guid)
	}
	return did
}

// update sends what Cloud Controller sends of a process that has changed.
func (d diego) update(ctx context.Context, process *models.DesiredLRP) *models.Error {
	GinkgoHelper()
	update := &models.DesiredLRPUpdate{Routes: process.Routes, MetricTags: process.MetricTags}
	update.SetInstances(process.Instances)
	update.SetAnnotation(process.Annotation)
	var answer models.DesiredLRPLifecycleResponse
	d.call(ctx, "/v1/desired_lrp/update", &models.UpdateDesiredLRPRequest{ProcessGuid: process.ProcessGuid, Update: update}, &answer)
	return answer.Error
}

func (d diego) remove(ctx context.Context, processGUID string) *models.Error {
	GinkgoHelper()
	var answer models.DesiredLRPLifecycleResponse
	d.call(ctx, "/v1/desired_lrp/remove", &models.RemoveDesiredLRPRequest{ProcessGuid: processGUID}, &answer)
	return answer.Error
}

// recorded returns a recorded request to desire an LRP, under a guid of its own.
func recorded(file, name string, instances int) cloudcontroller.Desire {
	GinkgoHelper()
	content, err := fixtures.Requests.ReadFile("requests/" + file)
	Expect(err).NotTo(HaveOccurred())
	d := cloudcontroller.Desire{}
	Expect(json.Unmarshal(content, &d)).To(Succeed())
	return d.Identify(cloudcontroller.NewGUID(), cloudcontroller.NewGUID()).With("app_name", name).With("instances", instances)
}

// asBBS returns the process of a request of the OPI door as a Cloud Controller of today has it.
func asBBS(d cloudcontroller.Desire) *models.DesiredLRP {
	GinkgoHelper()
	process := exampleLRP("bbs-02-desire-lrp-buildpack-plain.pb")
	process.ProcessGuid, process.Instances = d.ProcessGUID(), int32(controlplane.InstancesOf(d))
	process.Annotation = d["last_updated"].(string)
	return process
}

// ageLRP replaces a StatefulSet by one of a release that had no labels with dashes. Irene must not
// run meanwhile.
func ageLRP(ctx context.Context, place *controlplane.Platform, d cloudcontroller.Desire) {
	GinkgoHelper()
	young, secrets := place.StatefulSet(ctx, d.GUID()), place.Secrets(ctx, d.GUID())
	sets := api.AppsV1().StatefulSets(place.Namespace)
	Expect(sets.Delete(ctx, young.Name, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)})).To(Succeed())
	Eventually(place.NothingLeftOf(ctx, d.GUID())).Should(Succeed())
	withoutDashes := func(labels map[string]string) map[string]string {
		old := maps.Clone(labels)
		maps.DeleteFunc(old, func(key, _ string) bool {
			return strings.HasPrefix(key, "cloudfoundry.org/") && strings.Contains(key, "-") && key != keys.RootFSVersion
		})
		return old
	}
	for _, secret := range secrets {
		secret.ObjectMeta = metav1.ObjectMeta{Name: secret.Name, Labels: withoutDashes(secret.Labels), Annotations: secret.Annotations}
		_, err := api.CoreV1().Secrets(place.Namespace).Create(ctx, &secret, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
	old := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: young.Name, Labels: withoutDashes(young.Labels), Annotations: young.Annotations}, Spec: young.Spec}
	old.Spec.Template.Labels = withoutDashes(young.Spec.Template.Labels)
	Expect(old.Spec.Template.Labels).NotTo(HaveKey("cloudfoundry.org/app-guid"))
	_, err := sets.Create(ctx, old, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// patchedPods returns how many pods the process has given labels or tags.
func patchedPods(ctx context.Context, irene *ireneprocess.Process) func() int {
	return func() int {
		GinkgoHelper()
		for _, series := range controlplane.Metrics(ctx, irene)["irene_pod_metadata_patches_total"].GetMetric() {
			if series.GetLabel()[0].GetValue() == "patched" {
				return int(series.GetCounter().GetValue())
			}
		}
		return 0
	}
}

var _ = Describe("A foundation with both doors", func() {
	It("moves from OPI to the BBS door and back, and no instance is replaced", func(ctx context.Context) {
		place := newPlatform(ctx, direct(), map[string]any{"leader_election": map[string]any{"enabled": false}, "bbs": bothDoors(false)})
		irene := place.Start(ctx)
		running := recorded("01-desire-lrp-buildpack-r1.json", "running", 2).With("placement_tags", []string{})
		renamed := recorded("01-desire-lrp-buildpack-r1.json", "renamed", 1).With("placement_tags", []string{})
		unplaced := recorded("01-desire-lrp-buildpack-r1.json", "unplaced", 1)
		docker := recorded("02-desire-lrp-docker-r1.json", "docker", 1).With("placement_tags", []string{})
		docker["lifecycle"].(map[string]any)["docker_lifecycle"].(map[string]any)["image"] = "registry.example.com/app@sha256:" + strings.Repeat("0", 64)
		orphan := cloudcontroller.NewBuildpack("orphan")
		old := []cloudcontroller.Desire{running, renamed, unplaced, docker}
		for _, d := range append(old, orphan) {
			controlplane.DesireApp(ctx, irene, d)
		}

		By("having pods of an earlier release")
		irene.Kill()
		sets, pods, present := map[string]appsv1.StatefulSet{}, map[string]map[string]types.UID{}, 0
		for _, d := range old {
			ageLRP(ctx, place, d)
		}
		for _, d := range old {
			Eventually(func() int { return len(place.Pods(ctx, d.GUID())) }).Should(Equal(controlplane.InstancesOf(d)))
			sets[d.GUID()], pods[d.GUID()] = place.StatefulSet(ctx, d.GUID()), place.PodUIDs(ctx, d.GUID())
			present += controlplane.InstancesOf(d)
		}
		unchanged := func(d cloudcontroller.Desire) {
			GinkgoHelper()
			set, before := place.StatefulSet(ctx, d.GUID()), sets[d.GUID()]
			Expect(set.UID).To(Equal(before.UID))
			Expect(set.Spec.Template).To(Equal(before.Spec.Template))
			Expect(set.Annotations[keys.RequestDigest]).To(Equal(before.Annotations[keys.RequestDigest]))
			Expect(place.PodUIDs(ctx, d.GUID())).To(Equal(pods[d.GUID()]), "no instance was replaced")
		}
		carry := func(d cloudcontroller.Desire, tags string) func(Gomega) {
			return func(g Gomega) {
				for _, pod := range place.Pods(ctx, d.GUID()) {
					g.Expect(pod.Labels).To(And(
						HaveKeyWithValue("cloudfoundry.org/app-guid", d["app_guid"]), HaveKeyWithValue("cloudfoundry.org/space-guid", d["space_guid"]),
						HaveKeyWithValue("cloudfoundry.org/org-guid", d["organization_guid"]), HaveKeyWithValue("cloudfoundry.org/source-type", "APP")))
					g.Expect(pod.Annotations[keys.MetricTags]).To(Equal(tags))
				}
			}
		}

		By("not letting one door touch what is the other's")
		irene = place.Start(ctx)
		cc := diego{irene.BBSURL}
		Expect(cc.listed(ctx)).To(BeEmpty())
		Expect(cc.update(ctx, asBBS(running)).Type).To(Equal(models.Error_ResourceNotFound))
		Expect(cc.remove(ctx, running.ProcessGUID()).Type).To(Equal(models.Error_ResourceNotFound))
		foreign := exampleLRP("bbs-04-desire-lrp-docker.pb")
		foreign.RootFs, foreign.Instances = "docker://registry.example.com/app@sha256#"+strings.Repeat("0", 64), 1
		Expect(cc.sync(ctx, foreign)).To(Equal(synced{Desired: []string{foreign.ProcessGuid}}), "another foundation's round")
		Expect(cc.sync(ctx, foreign)).To(Equal(synced{}))
		Expect(irene.List(ctx)).To(And(HaveLen(5), Not(HaveKey(foreign.ProcessGuid))))
		Eventually(func(g Gomega) {
			for _, d := range old {
				carry(d, "")(g)
			}
		}).Should(Succeed())
		Eventually(controlplane.Gauge).WithContext(ctx).WithArguments(irene, "irene_pods_without_metadata").Should(BeZero())
		Eventually(patchedPods(ctx, irene)).Should(Equal(present), "one patch for each pod of the earlier release, and none for others")

		By("adopting the apps")
		irene.Kill()
		place.Settings["bbs"] = bothDoors(true)
		irene = place.Start(ctx)
		cc = diego{irene.BBSURL}
		missing := exampleLRP("bbs-04-desire-lrp-docker.pb")
		missing.RootFs, missing.Instances = foreign.RootFs, 1
		processes := []*models.DesiredLRP{foreign, missing}
		for _, d := range old {
			processes = append(processes, asBBS(d))
		}
		newName := processes[slices.IndexFunc(processes, func(p *models.DesiredLRP) bool { return p.ProcessGuid == renamed.ProcessGUID() })]
		newName.Annotation = "1796000001.5"
		newName.MetricTags = map[string]*models.MetricTagValue{"app_name": {Static: "new-name"}, "instance_id": {Dynamic: models.MetricTagDynamicValueIndex}}
		Expect(cc.sync(ctx, processes...)).To(Equal(synced{
			Desired: []string{missing.ProcessGuid}, Updated: []string{renamed.ProcessGUID()}, Removed: []string{orphan.ProcessGUID()},
		}))
		Expect(cc.sync(ctx, processes...)).To(Equal(synced{}), "the second round has nothing to do")
		Eventually(place.NothingLeftOf(ctx, orphan.GUID())).Should(Succeed())
		Eventually(carry(renamed, `{"app_name":"new-name","instance_id":{"dynamic":"index"}}`)).Should(Succeed())
		Eventually(patchedPods(ctx, irene)).Should(Equal(1), "the others lack nothing")
		taken := place.StatefulSet(ctx, renamed.GUID())
		Expect(taken.Annotations).To(And(HaveKeyWithValue(keys.Door, "bbs"), HaveKeyWithValue(keys.LastUpdated, newName.Annotation), HaveKey(keys.Routes)))
		Expect(taken.Annotations[keys.Routes]).NotTo(Equal(sets[renamed.GUID()].Annotations[keys.Routes]))
		Expect(taken.Labels).To(HaveKeyWithValue(keys.Domain, "cf-apps"))
		Expect(irene.List(ctx)).To(And(HaveLen(3), Not(HaveKey(renamed.ProcessGUID()))))
		Eventually(cc.states(ctx, running.ProcessGUID())).Should(Equal([]string{"RUNNING", "RUNNING"}))
		Expect(cc.states(ctx, unplaced.ProcessGUID())()).To(HaveExactElements(HavePrefix("UNCLAIMED")))
		for _, d := range old {
			unchanged(d)
		}

		By("desiring one, as the sync does without bbs.adopt_opi")
		Expect(cc.desire(ctx, asBBS(docker))).To(BeNil())
		Expect(place.StatefulSet(ctx, docker.GUID()).Annotations).To(HaveKeyWithValue(keys.Door, "bbs"))
		Eventually(func(g Gomega) {
			for _, pod := range place.Pods(ctx, docker.GUID()) {
				g.Expect(pod.Annotations).To(HaveKeyWithValue(keys.MetricTags, ContainSubstring(`"process_id"`)))
			}
		}).Should(Succeed())
		unchanged(docker)

		By("going back to OPI")
		for _, d := range old {
			controlplane.DesireApp(ctx, irene, d)
		}
		list, err := irene.List(ctx)
		Expect(err).NotTo(HaveOccurred())
		for _, d := range old {
			Expect(list).To(HaveKeyWithValue(d.ProcessGUID(), d["last_updated"]))
			Expect(place.StatefulSet(ctx, d.GUID()).Annotations).NotTo(HaveKey(keys.Door))
			unchanged(d)
			Eventually(carry(d, "")).Should(Succeed())
		}

		By("replacing a pod with one of the earlier release's template")
		Expect(irene.StopInstance(ctx, running.GUID(), running.Version(), "1")).To(controlplane.Answered(http.StatusOK))
		Eventually(func() map[string]types.UID { return place.PodUIDs(ctx, running.GUID()) }).Should(And(HaveLen(2), Not(Equal(pods[running.GUID()]))))
		Eventually(carry(running, "")).Should(Succeed())
	}, patience)

	It("has the tasks of both doors where it adopts those of OPI", func(ctx context.Context) {
		place := newTaskingBehind(ctx, direct(), map[string]any{"bbs": bothDoors(false)})
		cc := diego{place.irene.BBSURL}
		tasks := func() []string {
			GinkgoHelper()
			var answer models.TasksResponse
			cc.call(ctx, "/v1/tasks/list.r2", &models.TasksRequest{Domain: "cf-tasks"}, &answer)
			Expect(answer.Error).To(BeNil())
			guids := []string{}
			for _, t := range answer.Tasks {
				Expect(t.Domain).To(Equal("cf-tasks"))
				guids = append(guids, t.TaskGuid)
			}
			return guids
		}
		cancel := func(guid string) *models.Error {
			GinkgoHelper()
			var answer models.TaskLifecycleResponse
			cc.call(ctx, "/v1/tasks/cancel", &models.TaskGuidRequest{TaskGuid: guid}, &answer)
			return answer.Error
		}
		get := func(guid string) models.TaskResponse {
			GinkgoHelper()
			var answer models.TaskResponse
			cc.call(ctx, "/v1/tasks/get_by_task_guid.r2", &models.TaskByGuidRequest{TaskGuid: guid}, &answer)
			return answer
		}
		canceled, ended := place.runs(ctx), place.runs(ctx)
		Expect(tasks()).To(BeEmpty())
		Expect(get(canceled.guid).Error.Type).To(Equal(models.Error_ResourceNotFound))
		Expect(cancel(canceled.guid).Type).To(Equal(models.Error_ResourceNotFound))
		Expect(canceled.job(ctx).Annotations).NotTo(HaveKey(keys.Stopped))

		place.Settings["bbs"] = bothDoors(true)
		place.restart(ctx)
		cc = diego{place.irene.BBSURL}
		Expect(tasks()).To(ConsistOf(canceled.guid, ended.guid))
		Expect(get(ended.guid).Task.Domain).To(Equal("cf-tasks"))
		Expect(cancel(canceled.guid)).To(BeNil())
		ended.exits(ctx, 3, "Error")
		for t, reason := range map[*task]string{canceled: "task was cancelled", ended: "Exited with status 3"} {
			Eventually(t.received).WithTimeout(longest).Should(HaveLen(1))
			Expect(string(t.received()[0].Body)).To(MatchJSON(`{"task_guid":"` + t.guid + `","failed":true,"failure_reason":"` + reason + `"}`))
		}
		Eventually(tasks).WithTimeout(longest).Should(BeEmpty())
		Expect(get(ended.guid).Error.Type).To(Equal(models.Error_ResourceNotFound))
	}, patience)
})
