//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

// telling is a platform whose irene tells a Cloud Controller of instances. What happens
// to them the spec plays.
type telling struct {
	*controlplane.Platform
	cc    *standin.Server
	nodes *controlplane.Kubelet
	irene *ireneprocess.Process
	// kills counts how often a process was killed that led.
	kills int
}

// newTelling is for one irene, or for several where elected. One report is under way at
// a time, so that a kill meets one at most.
func newTelling(ctx context.Context, elected bool) *telling {
	GinkgoHelper()
	cc, err := standin.Start(standin.Options{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cc.Close)
	settings := map[string]any{
		"cloud_controller": map[string]any{"url": cc.URL(), "workers": 1},
		"apps": map[string]any{
			"placement":      map[string]any{"shared": "unlabelled"},
			"pre_stop_sleep": "1s", "termination_grace": "3s",
		},
	}
	if !elected {
		settings["leader_election"] = map[string]any{"enabled": false}
	}
	t := &telling{Platform: newPlatform(ctx, direct(), settings), cc: cc}
	t.nodes = controlplane.NewKubelet(ctx, api, t.Namespace, 2)
	t.nodes.ReportsEnds = true
	return t
}

// with changes how irene tells.
func (t *telling) with(settings map[string]any) *telling {
	maps.Copy(t.Settings["cloud_controller"].(map[string]any), settings)
	return t
}

// begins starts the irene.
func (t *telling) begins(ctx context.Context) *telling {
	GinkgoHelper()
	t.irene = t.Start(ctx)
	return t
}

// dies kills the irene.
func (t *telling) dies() {
	t.irene.Kill()
	t.kills++
}

// leader waits until one of the replicas leads and returns its index.
func (t *telling) leader(ctx context.Context, replicas []*ireneprocess.Process) int {
	GinkgoHelper()
	index := -1
	Eventually(func() int {
		for i, replica := range replicas {
			if replica.Running() && controlplane.Gauge(ctx, replica, "irene_leader") == 1 {
				index = i
			}
		}
		return index
	}).Should(BeNumerically(">=", 0))
	return index
}

// runs desires an app and waits until its instances run.
func (t *telling) runs(ctx context.Context, name string, instances int) cloudcontroller.Desire {
	GinkgoHelper()
	d := t.nodes.App(name, instances)
	t.cc.AddProcess(d.GUID())
	controlplane.RunApp(ctx, t.irene, d)
	return d
}

// pod is the one of an instance.
func (t *telling) pod(ctx context.Context, d cloudcontroller.Desire, index int) *controlplane.LoopbackPod {
	GinkgoHelper()
	var pod *controlplane.LoopbackPod
	Eventually(func(g Gomega) {
		name := t.StatefulSet(ctx, d.GUID()).Name
		live, err := api.CoreV1().Pods(t.Namespace).Get(ctx, fmt.Sprintf("%s-%d", name, index), metav1.GetOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(live.DeletionTimestamp).To(BeNil())
		pod = t.nodes.Find(live.UID)
		g.Expect(pod).NotTo(BeNil())
	}).Should(Succeed())
	return pod
}

// crash has a pod's container die for the nth time, and run again.
func (t *telling) crash(ctx context.Context, p *controlplane.LoopbackPod, n int) {
	GinkgoHelper()
	end := controlplane.Exited(int32(n), "Error", time.Now())
	Expect(t.nodes.Report(ctx, p, controlplane.Crashed(n, end))).To(Succeed())
	Expect(t.nodes.Report(ctx, p, controlplane.Restarted(n, end))).To(Succeed())
}

// crashAll is crash for all pods at the same time.
func (t *telling) crashAll(ctx context.Context, pods []*controlplane.LoopbackPod, n int) {
	GinkgoHelper()
	var playing sync.WaitGroup
	for _, p := range pods {
		playing.Go(func() {
			defer GinkgoRecover()
			t.crash(ctx, p, n)
		})
	}
	playing.Wait()
}

// report is what Cloud Controller was told of an instance.
type report struct {
	GUID            string `json:"-"` // the process guid's first part
	Instance        string `json:"instance"`
	Index           int    `json:"index"`
	CellID          string `json:"cell_id"`
	Reason          string `json:"reason"`
	ExitStatus      *int32 `json:"exit_status"`
	ExitDescription string `json:"exit_description"`
	CrashCount      int    `json:"crash_count"`
	CrashTimestamp  int64  `json:"crash_timestamp"`
	Ready           *bool  `json:"ready"`
}

// told is everything that Cloud Controller took note of, repeats included.
func (t *telling) told(endpoint standin.Endpoint) []report {
	var all []report
	for _, request := range t.cc.Received(endpoint, "") {
		if request.Status >= 300 {
			continue // it has not
		}
		r := report{GUID: request.GUID[:36]}
		Expect(json.Unmarshal(request.Body, &r)).To(Succeed())
		all = append(all, r)
	}
	return all
}

// distinct are the different crashes that Cloud Controller knows of, and how often it
// was told of one once more.
func (t *telling) distinct() (crashes map[string]report, repeats int) {
	crashes = map[string]report{}
	for _, r := range t.told(standin.AppCrashed) {
		name := fmt.Sprintf("%s %d", r.Instance, r.CrashCount)
		if _, known := crashes[name]; known {
			repeats++
			continue
		}
		crashes[name] = r
	}
	return crashes, repeats
}

// knows waits until Cloud Controller was told of exactly that many crashes, in the order
// of each instance's.
func (t *telling) knows(crashes int) (repeats int) {
	GinkgoHelper()
	Eventually(func() int {
		known, _ := t.distinct()
		return len(known)
	}, "2m").Should(Equal(crashes))
	last := map[string]int{}
	for _, r := range t.told(standin.AppCrashed) {
		Expect(r.CrashCount).To(BeElementOf(last[r.Instance], last[r.Instance]+1), "in order")
		last[r.Instance] = max(last[r.Instance], r.CrashCount)
		if r.ExitStatus != nil {
			Expect(*r.ExitStatus).To(BeEquivalentTo(r.CrashCount), "each with its own status")
			Expect(r.ExitDescription).To(Equal(fmt.Sprintf("exited with status %d", r.CrashCount)))
		} else {
			Expect(r.ExitDescription).To(Equal("details unknown"))
		}
	}
	_, repeats = t.distinct()
	return repeats
}
