//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/k8s/keys"
)

// deployed is a platform with apps that Cloud Controller's deployment updater and its users
// change.
// The spec plays the kubelet of the only node.
type deployed struct {
	*controlplane.Platform
	node *controlplane.SilentNode
	cc   diego
}

func newDeployed(ctx context.Context) *deployed {
	GinkgoHelper()
	place := newBBSPlatform(ctx)
	node := controlplane.NewSilentNode(ctx, api)
	node.KeepReady(ctx)
	return &deployed{Platform: place, node: node, cc: diego{place.Start(ctx).BBSURL}}
}

// newBBSPlatform creates a platform with a BBS door for one irene process.
func newBBSPlatform(ctx context.Context) *controlplane.Platform {
	GinkgoHelper()
	return newPlatform(ctx, direct(), map[string]any{
		"leader_election": map[string]any{"enabled": false},
		"apps":            map[string]any{"placement": map[string]any{"shared": "unlabelled"}, "image_user_lookup_timeout": "1s"},
		"bbs":             bbsDoor(),
	})
}

// app returns an LRP for the platform's node.
func (p *deployed) app(instances int) *models.DesiredLRP {
	GinkgoHelper()
	lrp := exampleLRP("bbs-04-desire-lrp-docker.pb")
	lrp.Instances, lrp.PlacementTags = int32(instances), []string{p.node.Segment}
	return lrp
}

// report sets the status of an instance's pod once it is on the node.
func (p *deployed) report(ctx context.Context, lrp *models.DesiredLRP, index int, status func(*corev1.PodStatus)) {
	GinkgoHelper()
	name := fmt.Sprintf("%s-%d", p.StatefulSet(ctx, processGUIDOf(lrp)).Name, index)
	Eventually(func(g Gomega) {
		pod, err := api.CoreV1().Pods(p.Namespace).Get(ctx, name, metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(pod.Spec.NodeName).To(Equal(p.node.Name))
		g.Expect(controlplane.UpdatePodStatus(ctx, api, p.Namespace, name, pod.UID, status)).To(Succeed())
	}).WithContext(ctx).Should(Succeed())
}

// run makes instances from..to-1 ready and waits until the door answers so.
func (p *deployed) run(ctx context.Context, lrp *models.DesiredLRP, from, to int) {
	GinkgoHelper()
	for index := from; index < to; index++ {
		p.report(ctx, lrp, index, controlplane.Running(time.Now(), true, true))
	}
	Eventually(func() int { return p.summary(ctx, lrp).routable }).WithContext(ctx).Should(BeNumerically(">=", to))
}

// summary counts the instances of a process as the deployment updater does.
type summary struct{ desired, starting, routable, unhealthy int }

func (p *deployed) summary(ctx context.Context, lrp *models.DesiredLRP) summary {
	GinkgoHelper()
	found := p.cc.get(ctx, lrp.ProcessGuid)
	if found.Error != nil {
		return summary{}
	}
	s := summary{desired: int(found.DesiredLrp.Instances)}
	instances := p.cc.instances(ctx, lrp.ProcessGuid)
	s.unhealthy = s.desired - len(instances) // Cloud Controller shows them as DOWN
	for _, instance := range instances {
		switch {
		case instance.State == models.ActualLRPStateRunning && instance.GetRoutable():
			s.routable++
		case instance.State == models.ActualLRPStateRunning, instance.State == models.ActualLRPStateClaimed:
			s.starting++
		case instance.State == models.ActualLRPStateUnclaimed && instance.PlacementError == "":
			s.starting++
		default: // CRASHED, DOWN, UNKNOWN
			s.unhealthy++
		}
	}
	return s
}

// scale changes the number of instances as Cloud Controller does: with all that an update has.
func (p *deployed) scale(ctx context.Context, lrp *models.DesiredLRP, instances int) {
	GinkgoHelper()
	found := p.cc.get(ctx, lrp.ProcessGuid)
	Expect(found.Error).To(BeNil())
	update := &models.DesiredLRPUpdate{Routes: lrp.Routes, MetricTags: lrp.MetricTags}
	update.SetInstances(int32(instances))
	update.SetAnnotation(fmt.Sprintf("%d.5", time.Now().UnixNano()))
	p.update(ctx, lrp, update)
}

func (p *deployed) update(ctx context.Context, lrp *models.DesiredLRP, update *models.DesiredLRPUpdate) {
	GinkgoHelper()
	var changed models.DesiredLRPLifecycleResponse
	p.cc.call(ctx, "/v1/desired_lrp/update", &models.UpdateDesiredLRPRequest{ProcessGuid: lrp.ProcessGuid, Update: update}, &changed)
	Expect(changed.Error).To(BeNil())
}

// deployment is one of Cloud Controller's: the instances of one process take the place of
// another's.
type deployment struct {
	*deployed
	old, next          *models.DesiredLRP
	total, maxInFlight int
}

// step does what one round of the deployment updater does (contract/bbs.md 5.1), and returns
// whether it changed anything. It fails the spec if fewer instances than the app has take
// requests.
func (d *deployment) step(ctx context.Context) (changed bool) {
	GinkgoHelper()
	next, old := d.summary(ctx, d.next), d.summary(ctx, d.old)
	Expect(next.routable+old.routable).To(BeNumerically(">=", d.total), "next: %+v, old: %+v", next, old)
	if next.unhealthy > 0 || next.starting >= d.maxInFlight || next.routable < next.desired-d.maxInFlight {
		return false
	}
	if down := max(d.total-next.routable, 0); down < old.desired {
		d.scale(ctx, d.old, down)
		changed = true
	}
	if up := min(next.desired+d.maxInFlight-next.starting, d.total); up > next.desired {
		d.scale(ctx, d.next, up)
		changed = true
	}
	return changed
}

// finish removes the old process when the next one is complete.
func (d *deployment) finish(ctx context.Context) {
	GinkgoHelper()
	Expect(d.summary(ctx, d.next)).To(Equal(summary{desired: d.total, routable: d.total}))
	var removed models.DesiredLRPLifecycleResponse
	d.cc.call(ctx, "/v1/desired_lrp/remove", &models.RemoveDesiredLRPRequest{ProcessGuid: d.old.ProcessGuid}, &removed)
	Expect(removed.Error).To(BeNil())
	Expect(d.cc.listed(ctx)).To(And(HaveKey(d.next.ProcessGuid), Not(HaveKey(d.old.ProcessGuid))))
}

var _ = Describe("Apps of the BBS door, as Cloud Controller changes them", func() {
	It("are deployed in steps, which wait for instances that start and stop at one that crashes", func(ctx context.Context) {
		p := newDeployed(ctx)
		d := &deployment{deployed: p, old: p.app(4), next: p.app(2), total: 4, maxInFlight: 2}
		Expect(p.cc.desire(ctx, d.old)).To(BeNil())
		p.run(ctx, d.old, 0, 4)
		before := p.PodUIDs(ctx, processGUIDOf(d.old))

		Expect(p.cc.desire(ctx, d.next)).To(BeNil())
		Expect(d.step(ctx)).To(BeFalse(), "two instances start")
		p.report(ctx, d.next, 0, controlplane.Running(time.Now(), true, false))
		Eventually(func() summary { return p.summary(ctx, d.next) }).Should(Equal(summary{desired: 2, starting: 2}), "it runs and takes no requests")
		Expect(d.step(ctx)).To(BeFalse())

		p.run(ctx, d.next, 0, 1)
		Expect(d.step(ctx)).To(BeTrue())
		Expect(p.summary(ctx, d.old)).To(Equal(summary{desired: 3, routable: 3}))
		Expect(p.summary(ctx, d.next)).To(Equal(summary{desired: 3, routable: 1, starting: 2}))

		By("an instance of the next process crashing")
		end := controlplane.Exited(1, "Error", time.Now())
		p.report(ctx, d.next, 1, controlplane.Running(time.Now(), true, false))
		p.report(ctx, d.next, 1, controlplane.BackingOff(1, end))
		Eventually(func() int { return p.summary(ctx, d.next).unhealthy }).Should(Equal(1))
		Expect(d.step(ctx)).To(BeFalse())
		crashed := p.cc.instances(ctx, d.next.ProcessGuid)[1]
		Expect(crashed.CrashCount).To(BeEquivalentTo(1))
		Expect(crashed.CrashReason).To(ContainSubstring("1"))
		p.report(ctx, d.next, 1, controlplane.Restarted(1, end))
		Eventually(func() int { return p.summary(ctx, d.next).routable }).Should(Equal(2))

		By("going on to the end")
		for next := 2; p.summary(ctx, d.next).routable < d.total; next++ {
			for d.step(ctx) {
			}
			p.run(ctx, d.next, next, next+1)
		}
		Expect(d.step(ctx)).To(BeTrue(), "the last old instance goes")
		Expect(p.summary(ctx, d.old).desired).To(Equal(0))
		for name, uid := range p.PodUIDs(ctx, processGUIDOf(d.old)) {
			Expect(before).To(HaveKeyWithValue(name, uid), "no old instance was replaced")
		}
		d.finish(ctx)
	}, patience)

	It("are tried with one instance before a deployment goes on", func(ctx context.Context) {
		p := newDeployed(ctx)
		d := &deployment{deployed: p, old: p.app(2), next: p.app(1), total: 2, maxInFlight: 1}
		Expect(p.cc.desire(ctx, d.old)).To(BeNil())
		p.run(ctx, d.old, 0, 2)

		By("the canary")
		Expect(p.cc.desire(ctx, d.next)).To(BeNil())
		p.run(ctx, d.next, 0, 1)
		// Cloud Controller pauses here until its user goes on.
		Expect(p.summary(ctx, d.old)).To(Equal(summary{desired: 2, routable: 2}))
		canary := p.PodUIDs(ctx, processGUIDOf(d.next))

		By("going on")
		Expect(d.step(ctx)).To(BeTrue())
		Expect(p.summary(ctx, d.old)).To(Equal(summary{desired: 1, routable: 1}))
		p.run(ctx, d.next, 1, 2)
		Expect(d.step(ctx)).To(BeTrue())
		d.finish(ctx)
		for name, uid := range canary {
			Expect(p.PodUIDs(ctx, processGUIDOf(d.next))).To(HaveKeyWithValue(name, uid))
		}
	}, patience)

	It("are renamed without a restart, and one instance is restarted on request", func(ctx context.Context) {
		place := newBBSPlatform(ctx)
		p := &deployed{Platform: place, cc: diego{place.Start(ctx).BBSURL}}
		lrp := exampleLRP("bbs-04-desire-lrp-docker.pb")
		lrp.Instances = 2
		Expect(p.cc.desire(ctx, lrp)).To(BeNil())
		Eventually(p.cc.states(ctx, lrp.ProcessGuid)).Should(Equal([]string{"RUNNING", "RUNNING"}))
		pods, set := p.PodUIDs(ctx, processGUIDOf(lrp)), p.StatefulSet(ctx, processGUIDOf(lrp))

		By("renaming it")
		lrp.MetricTags["app_name"] = &models.MetricTagValue{Static: "another-name"}
		p.scale(ctx, lrp, 2)
		Expect(p.cc.get(ctx, lrp.ProcessGuid).DesiredLrp.MetricTags).To(Equal(lrp.MetricTags))
		for index, instance := range p.cc.instances(ctx, lrp.ProcessGuid) {
			Expect(instance.MetricTags).To(And(
				HaveKeyWithValue("app_name", "another-name"),
				HaveKeyWithValue("instance_id", fmt.Sprint(index)),
				HaveKeyWithValue("process_instance_id", instance.InstanceGuid),
			))
		}
		Expect(p.PodUIDs(ctx, processGUIDOf(lrp))).To(Equal(pods))
		Expect(p.StatefulSet(ctx, processGUIDOf(lrp)).Spec.Template).To(Equal(set.Spec.Template))

		By("restarting the instance at index 1")
		before := p.cc.instances(ctx, lrp.ProcessGuid)
		var retired models.ActualLRPLifecycleResponse
		retire := func(index int32) *models.Error {
			GinkgoHelper()
			retired = models.ActualLRPLifecycleResponse{}
			p.cc.call(ctx, "/v1/actual_lrps/retire", &models.RetireActualLRPRequest{ActualLrpKey: &models.ActualLRPKey{ProcessGuid: lrp.ProcessGuid, Index: index, Domain: "cf-apps"}}, &retired)
			return retired.Error
		}
		Expect(retire(1)).To(BeNil())
		Eventually(func(g Gomega) {
			after := p.cc.instances(ctx, lrp.ProcessGuid)
			g.Expect(after).To(HaveLen(2))
			g.Expect(after[0].InstanceGuid).To(Equal(before[0].InstanceGuid), "the other one stays")
			g.Expect(after[1].Index).To(BeEquivalentTo(1))
			g.Expect(after[1].State).To(Equal(models.ActualLRPStateRunning))
			g.Expect(after[1].InstanceGuid).NotTo(Equal(before[1].InstanceGuid))
			g.Expect(after[1].CrashCount).To(BeZero(), "it did not crash")
		}).WithContext(ctx).Should(Succeed())
		Expect(retire(2).GetType()).To(Equal(models.Error_ResourceNotFound))
	}, patience)

	It("have the tag process_id by which Cloud Controller looks up their usage, or none", func(ctx context.Context) {
		place := newBBSPlatform(ctx)
		cc := diego{place.Start(ctx).BBSURL}
		tagged, untagged := exampleLRP("bbs-04-desire-lrp-docker.pb"), exampleLRP("bbs-04-desire-lrp-docker.pb")
		tagged.PlacementTags = []string{"segment-one"}
		delete(untagged.MetricTags, "process_id")
		for _, lrp := range []*models.DesiredLRP{tagged, untagged} {
			Expect(cc.desire(ctx, lrp)).To(BeNil())
			found := cc.get(ctx, lrp.ProcessGuid)
			Expect(found.Error).To(BeNil())
			Expect(found.DesiredLrp.MetricTags).To(Equal(lrp.MetricTags))
			Expect(found.DesiredLrp.PlacementTags).To(HaveExactElements(lrp.PlacementTags))
		}
		// Cloud Controller made the tags of both. Only for the first one it looks under the app's
		// guid; for the other it takes the process guid.
		Expect(cc.get(ctx, tagged.ProcessGuid).DesiredLrp.MetricTags).To(HaveKey("process_id"))

		By("updates that have all tags, or leave one out")
		p := &deployed{Platform: place, cc: cc}
		update := &models.DesiredLRPUpdate{MetricTags: untagged.MetricTags}
		p.update(ctx, tagged, update)
		Expect(cc.get(ctx, tagged.ProcessGuid).DesiredLrp.MetricTags).NotTo(HaveKey("process_id"))
		update = &models.DesiredLRPUpdate{}
		update.SetInstances(1)
		p.update(ctx, untagged, update)
		Expect(cc.get(ctx, untagged.ProcessGuid).DesiredLrp.MetricTags).To(Equal(untagged.MetricTags))

		By("Diego's own lists, with limits and without secrets")
		var lrps models.DesiredLRPsResponse
		cc.call(ctx, "/v1/desired_lrps/list.r3", &models.DesiredLRPsRequest{Domain: "cf-apps", ProcessGuids: []string{tagged.ProcessGuid}}, &lrps)
		Expect(lrps.Error).To(BeNil())
		Expect(lrps.DesiredLrps).To(HaveLen(1))
		listed := lrps.DesiredLrps[0]
		Expect([]int32{listed.MemoryMb, listed.DiskMb, listed.MaxPids, int32(listed.CpuWeight)}).To(
			Equal([]int32{tagged.MemoryMb, tagged.DiskMb, tagged.MaxPids, int32(tagged.CpuWeight)}))
		Expect(listed.EnvironmentVariables).To(BeEmpty())
		Expect(place.StatefulSet(ctx, processGUIDOf(tagged)).Annotations).To(HaveKeyWithValue(keys.Door, "bbs"))
	}, patience)

	It("are compared with Cloud Controller's database by irene diff", func(ctx context.Context) {
		place := newBBSPlatform(ctx)
		process := place.Start(ctx)
		cc := diego{process.BBSURL}
		same, changed, orphan := exampleLRP("bbs-04-desire-lrp-docker.pb"), exampleLRP("bbs-04-desire-lrp-docker.pb"), exampleLRP("bbs-04-desire-lrp-docker.pb")
		other := exampleLRP("bbs-04-desire-lrp-docker.pb")
		other.Domain = "another-domain"
		for _, lrp := range []*models.DesiredLRP{same, changed, orphan, other} {
			Expect(cc.desire(ctx, lrp)).To(BeNil())
		}
		old := cloudcontroller.NewDocker("old", "registry.example.com/app@sha256:"+strings.Repeat("0", 64))
		controlplane.DesireApp(ctx, process, old)
		wanted := filepath.Join(place.Dir, "wanted.json")
		var list []byte
		for guid, annotation := range map[string]string{same.ProcessGuid: same.Annotation, changed.ProcessGuid: "1.5", old.ProcessGUID(): "1.5"} {
			list = fmt.Appendf(list, "{\"process_guid\":%q,\"annotation\":%q}\n", guid, annotation)
		}
		Expect(os.WriteFile(wanted, list, 0o600)).To(Succeed())
		o := &operated{Platform: place}
		o.settle(nil)
		var found []struct {
			Difference  string
			ProcessGUID string `json:"process_guid"`
			Kubernetes  string
		}
		o.shows(ctx, 3, &found, "diff", wanted)
		Expect(found).To(HaveExactElements(
			And(HaveField("Difference", "missing"), HaveField("ProcessGUID", old.ProcessGUID()), HaveField("Kubernetes", ContainSubstring("OPI API"))),
			And(HaveField("Difference", "orphaned"), HaveField("ProcessGUID", orphan.ProcessGuid)),
			And(HaveField("Difference", "annotation"), HaveField("ProcessGUID", changed.ProcessGuid)),
		))
		o.shows(ctx, 3, &found, "diff", "--door", "opi", wanted)
		Expect(found).To(HaveLen(3), "the OPI API lists the old app alone")
		Expect(found).To(ContainElement(And(HaveField("Difference", "annotation"), HaveField("ProcessGUID", old.ProcessGUID()))))
	}, patience)

	It("run on cells, which operators' tools list", func(ctx context.Context) {
		p := newDeployed(ctx)
		var cells models.CellsResponse
		byID := func() map[string]*models.CellPresence {
			GinkgoHelper()
			cells = models.CellsResponse{}
			p.cc.call(ctx, "/v1/cells/list.r1", &models.CellsResponse{}, &cells)
			Expect(cells.Error).To(BeNil())
			found := map[string]*models.CellPresence{}
			for _, cell := range cells.Cells {
				found[cell.CellId] = cell
			}
			return found
		}
		_, err := api.CoreV1().Nodes().Patch(ctx, p.node.Name, types.MergePatchType, []byte(`{"metadata":{"labels":{"topology.kubernetes.io/zone":"zone-1"}}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(byID).Should(HaveKeyWithValue(p.node.Name, HaveField("Zone", "zone-1")))
		found := byID()
		Expect(found).To(HaveKey("fake-0"))
		for _, cell := range found {
			Expect(cell.Capacity.MemoryMb).To(BeNumerically(">", 0))
			Expect(cell.Capacity.DiskMb).To(BeNumerically(">", 0))
			Expect(cell.Capacity.Containers).To(BeNumerically(">", 0))
			Expect(cell.RootfsProviders).To(ConsistOf(HaveField("Name", "preloaded"), HaveField("Name", "docker")))
		}
		Expect(found[p.node.Name].PlacementTags).To(Equal([]string{p.node.Segment}))
		Expect(found[p.node.Name].Capacity.MemoryMb).To(BeEquivalentTo(1 << 20))

		lrp := p.app(1)
		Expect(p.cc.desire(ctx, lrp)).To(BeNil())
		p.run(ctx, lrp, 0, 1)
		instance := p.cc.instances(ctx, lrp.ProcessGuid)[0]
		Expect(instance.CellId).To(Equal(p.node.Name))
		Expect(instance.AvailabilityZone).To(Equal("zone-1"))
		var available models.PingResponse
		p.cc.call(ctx, "/v1/ping", &models.PingResponse{}, &available)
		Expect(available.Available).To(BeTrue())
		var answer models.UpsertDomainResponse
		p.cc.call(ctx, "/v1/domains/upsert", &models.UpsertDomainRequest{Domain: "domain-" + cloudcontroller.NewGUID(), Ttl: 120}, &answer)
		Expect(answer.Error).To(BeNil())
		var domains models.DomainsResponse
		p.cc.call(ctx, "/v1/domains/list", &models.DomainsResponse{}, &domains)
		Expect(domains.Domains).To(ContainElement(HavePrefix("domain-")))
	}, patience)
})
