//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

// away is how long Cloud Controller is.
const away = 4 * time.Second

var _ = Describe("Cloud Controller is told of instances", func() {
	var place *telling

	pods := func(ctx context.Context, apps int) []*controlplane.LoopbackPod {
		GinkgoHelper()
		var all []*controlplane.LoopbackPod
		var desired []cloudcontroller.Desire
		for n := range apps {
			d := place.nodes.App(fmt.Sprintf("crashing-%d", n), 1)
			place.cc.AddProcess(d.GUID())
			controlplane.DesireApp(ctx, place.irene, d)
			desired = append(desired, d)
		}
		for _, d := range desired {
			controlplane.AwaitRunning(ctx, place.irene, d, 1)
			all = append(all, place.pod(ctx, d, 0))
		}
		return all
	}

	It("that crash: of 200 crashes of 20 apps, each once, however often irene is killed", func(ctx context.Context) {
		place = newTelling(ctx, false).begins(ctx)
		// Cloud Controller knows at once, and answers later: the worst moment for a kill.
		place.cc.Fail(standin.Fault{Endpoint: standin.AppCrashed, AfterWork: true, Delay: 20 * time.Millisecond})
		all := pods(ctx, 20)
		for n := 1; n <= 10; n++ {
			if n%3 == 0 { // they crash while nobody looks
				place.dies()
				place.crashAll(ctx, all, n)
			} else {
				before := len(place.told(standin.AppCrashed))
				place.crashAll(ctx, all, n)
				Eventually(func() int { return len(place.told(standin.AppCrashed)) }).Should(BeNumerically(">", before))
				place.dies()
			}
			place.begins(ctx)
		}
		repeats := place.knows(200)
		AddReportEntry(fmt.Sprintf("killed %d times: %d repeats", place.kills, repeats))
		Expect(repeats).To(BeNumerically("<=", place.kills))
	}, SpecTimeout(4*time.Minute))

	It("that crash, once Cloud Controller is back, whatever became of irene meanwhile", func(ctx context.Context) {
		place = newTelling(ctx, false).begins(ctx)
		all := pods(ctx, 5)
		for _, fault := range []standin.Fault{{Status: 502, Times: 5}, {Status: 500, Times: 5}} {
			place.cc.Fail(fault)
		}
		back := place.cc.Fail(standin.Fault{Status: 503})
		since := time.Now()
		for n := 1; n <= 4; n++ {
			place.crashAll(ctx, all, n)
		}
		Eventually(func() int { return len(place.cc.Received(standin.AppCrashed, "")) }).Should(BeNumerically(">", 10))
		place.dies()
		place.crashAll(ctx, all, 5)
		place.begins(ctx)
		Eventually(func() time.Duration { return time.Since(since) }, 2*away).Should(BeNumerically(">", away))
		Expect(place.told(standin.AppCrashed)).To(BeEmpty())
		back()
		Expect(place.knows(25)).To(BeZero())
	}, SpecTimeout(4*time.Minute))

	It("that crash while leaders change", func(ctx context.Context) {
		place = newTelling(ctx, true)
		replicas := []*ireneprocess.Process{place.Start(ctx), place.Start(ctx)}
		place.irene = replicas[0]
		all := pods(ctx, 5)
		for n := 1; n <= 4; n++ {
			leads := place.leader(ctx, replicas)
			before := len(place.told(standin.AppCrashed))
			place.crashAll(ctx, all, n)
			Eventually(func() int { return len(place.told(standin.AppCrashed)) }).Should(BeNumerically(">", before))
			if n%2 == 0 {
				Expect(replicas[leads].Stop()).To(Succeed())
			} else {
				replicas[leads].Kill()
				place.kills++
			}
			replicas[leads] = place.Start(ctx)
		}
		Expect(place.knows(20)).To(BeNumerically("<=", place.kills))
	}, SpecTimeout(3*time.Minute))

	It("that crash, and not of those that are stopped, scaled down, replaced, evicted or pressed off", func(ctx context.Context) {
		place = newTelling(ctx, false).begins(ctx)
		witness := place.runs(ctx, "witness", 1)
		stopped, scaled, restarted := place.runs(ctx, "stopped", 2), place.runs(ctx, "scaled", 3), place.runs(ctx, "restarted", 1)
		rolled, evicted, pressed := place.runs(ctx, "rolled", 2), place.runs(ctx, "evicted", 1), place.runs(ctx, "pressed", 1)
		old := map[string]string{}
		for _, d := range []cloudcontroller.Desire{restarted, rolled, evicted, pressed} {
			old[d.GUID()] = string(place.pod(ctx, d, 0).UID)
		}
		node := place.Pods(ctx, pressed.GUID())[0].Spec.NodeName

		Expect(place.irene.Client.Stop(ctx, stopped.GUID(), stopped.Version())).To(controlplane.Answered(200))
		Expect(place.irene.Update(ctx, scaled.GUID(), scaled.Version(), map[string]any{"instances": 1, "routes": scaled["routes"], "annotation": "2"})).To(controlplane.Answered(200))
		Expect(place.irene.StopInstance(ctx, restarted.GUID(), restarted.Version(), "0")).To(controlplane.Answered(200))
		_, err := api.AppsV1().StatefulSets(place.Namespace).Patch(ctx, place.StatefulSet(ctx, rolled.GUID()).Name, types.MergePatchType,
			[]byte(`{"spec":{"template":{"metadata":{"annotations":{"rolled":"yes"}}}}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(api.CoreV1().Pods(place.Namespace).EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: place.pod(ctx, evicted, 0).Name}})).To(Succeed())
		place.nodes.Evict(ctx, place.pod(ctx, pressed, 0))

		Eventually(func(g Gomega) {
			g.Expect(place.Pods(ctx, stopped.GUID())).To(BeEmpty())
			g.Expect(place.Pods(ctx, scaled.GUID())).To(HaveLen(1))
			for guid, before := range old {
				g.Expect(place.Pods(ctx, guid)).To(Not(BeEmpty()))
				for _, pod := range place.Pods(ctx, guid) {
					g.Expect(string(pod.UID)).NotTo(Equal(before))
				}
			}
		}, "40s").Should(Succeed())
		for _, d := range []cloudcontroller.Desire{scaled, restarted, evicted, pressed} {
			controlplane.AwaitRunning(ctx, place.irene, d, 1)
		}
		controlplane.AwaitRunning(ctx, place.irene, rolled, 2)

		place.crash(ctx, place.pod(ctx, witness, 0), 1)
		Eventually(func() []report { return place.told(standin.AppCrashed) }).Should(HaveLen(1))
		Expect(place.told(standin.AppCrashed)[0].GUID).To(Equal(witness.GUID()))
		Expect(place.told(standin.AppCrashed)[0].CellID).To(Equal(place.Pods(ctx, witness.GUID())[0].Spec.NodeName))
		Eventually(func() []report { return place.told(standin.AppRescheduling) }).Should(HaveLen(2))
		for _, moved := range place.told(standin.AppRescheduling) {
			Expect(moved.Instance).To(Equal(old[moved.GUID]))
			if moved.GUID == pressed.GUID() {
				Expect(moved).To(And(HaveField("Reason", "Evicted: The node was low on resource: memory."), HaveField("CellID", node)))
			} else {
				Expect(moved).To(And(HaveField("GUID", evicted.GUID()), HaveField("Reason", HavePrefix("evicted: cell "))))
			}
		}
		Consistently(func() int { return len(place.cc.Received("", "")) }).Should(Equal(3))
	}, SpecTimeout(4*time.Minute))

	It("that crash, in the words that their details show as well", func(ctx context.Context) {
		place = newTelling(ctx, false).begins(ctx)
		d := place.runs(ctx, "wordy", 1)
		pod := place.pod(ctx, d, 0)
		limit := place.Pods(ctx, d.GUID())[0].Spec.Containers[0].Resources.Limits.Memory().Value() >> 20
		patient := time.Duration(place.Pods(ctx, d.GUID())[0].Spec.Containers[0].StartupProbe.FailureThreshold) * time.Second
		now := time.Now()
		late := controlplane.Exited(0, "Completed", now)
		late.StartedAt = metav1.NewTime(now.Add(-patient - time.Second))
		_, err := api.CoreV1().Events(place.Namespace).Create(ctx, &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{GenerateName: "wordy-", Namespace: place.Namespace},
			InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: place.Namespace, Name: pod.Name, UID: pod.UID, FieldPath: "spec.containers{opi}"},
			Reason:         "Unhealthy", Message: fmt.Sprintf("Startup probe failed: dial tcp 127.0.0.1:%d: connect: connection refused", place.nodes.Port),
			Type: corev1.EventTypeWarning, FirstTimestamp: metav1.NewTime(now), LastTimestamp: metav1.NewTime(now), Count: 60,
			Source: corev1.EventSource{Component: "kubelet"},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		for n, want := range []struct {
			end  *corev1.ContainerStateTerminated
			text string
		}{
			{controlplane.Exited(3, "Error", now), "exited with status 3"},
			{controlplane.Exited(0, "Completed", now), "exited with status 0"},
			{controlplane.Exited(137, "OOMKilled", now), fmt.Sprintf("out of memory: limit %dM", limit)},
			{late, fmt.Sprintf("failed health check: port %d refused the connection (not passed within %ds of the start)", place.nodes.Port, int(patient.Seconds()))},
		} {
			if want.end == late { // it did not get as far as to run
				Expect(place.nodes.Report(ctx, pod, func(s *corev1.PodStatus) {
					controlplane.Restarted(n, controlplane.Exited(137, "OOMKilled", now))(s)
					s.ContainerStatuses[0].State.Running.StartedAt = want.end.StartedAt
					s.ContainerStatuses[0].Started, s.ContainerStatuses[0].Ready = ptr.To(false), false
					controlplane.SetReady(s, false)
				})).To(Succeed())
			}
			Expect(place.nodes.Report(ctx, pod, controlplane.BackingOff(n+1, want.end))).To(Succeed())
			Eventually(func(g Gomega) {
				instances, err := place.irene.Instances(ctx, d.GUID(), d.Version())
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(instances[0].State).To(Equal("CRASHED"))
				g.Expect(instances[0].PlacementError).To(Equal(want.text))
				g.Expect(instances[0].SinceTime()).To(BeTemporally("==", want.end.FinishedAt.Truncate(time.Second)))
				told := place.told(standin.AppCrashed)
				g.Expect(told).To(HaveLen(n + 1))
				g.Expect(told[n].ExitDescription).To(Equal(want.text))
				g.Expect(*told[n].ExitStatus).To(Equal(want.end.ExitCode))
				g.Expect(told[n].CrashTimestamp).To(Equal(want.end.FinishedAt.Truncate(time.Second).UnixNano()))
				g.Expect(told[n].CrashCount).To(Equal(n + 1))
			}).Should(Succeed())
		}
	}, patience)

	It("that turn ready and unready, where that is wanted", func(ctx context.Context) {
		place = newTelling(ctx, false).with(map[string]any{"report_readiness": true}).begins(ctx)
		d := place.runs(ctx, "changeable", 1)
		pod := place.pod(ctx, d, 0)
		readiness := func() []bool {
			told := []bool{}
			for _, r := range place.told(standin.AppReadinessChanged) {
				told = append(told, *r.Ready)
			}
			return told
		}
		Eventually(readiness).Should(Equal([]bool{true}))
		place.nodes.ReportReady(ctx, pod, false)
		Eventually(readiness).Should(Equal([]bool{true, false}))
		Eventually(func() string {
			return place.Pods(ctx, d.GUID())[0].Annotations["irene.cloudfoundry.org/told"]
		}).Should(MatchJSON(`{}`))
		place.dies()
		place.begins(ctx)
		place.nodes.ReportReady(ctx, pod, true)
		Eventually(readiness).WithTimeout(time.Minute).Should(Equal([]bool{true, false, true}))
		place.crash(ctx, pod, 1)
		Expect(place.knows(1)).To(BeZero())
		Consistently(readiness).Should(Equal([]bool{true, false, true}), "a crash says enough")
	}, patience)
})
