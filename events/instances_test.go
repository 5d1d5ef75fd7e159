package events

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/opi"
)

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

func TestACrashIsToldOnce(t *testing.T) {
	w := newReportWorld(t, nil)
	stop := w.run()
	w.crash("a", 1)
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 1}))
	w.g.Expect(w.heard(standin.AppCrashed)).To(HaveExactElements(Equal(map[string]any{
		"instance": "a", "index": 0.0, "cell_id": "node", "reason": "CRASHED",
		"exit_status": 1.0, "exit_description": "crash 1", "crash_count": 1.0, "crash_timestamp": 1e9,
	})))
	w.crash("a", 2)
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 2}))
	stop()
	w.run()
	w.crash("a", 3)
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 3}))
	w.g.Expect(w.counts()).To(Equal(upTo(3)))
	w.g.Expect(w.marks).To(Equal(3), "one small write a report")
	w.g.Expect(measured(w.g, w.metrics)).To(HaveKeyWithValue(`irene_instance_reports_total{answer="accepted",report="crashed"}`, 1.0))
}

func TestAStatusOfZeroIsACrash(t *testing.T) {
	w := newReportWorld(t, nil)
	w.run()
	w.pod(0, "a", func(r *opi.InstanceRecord) {
		r.Crashes, r.LastCrash = 1, &opi.Crash{ExitStatus: new(int32(0)), Description: "exited with status 0"}
	})
	w.g.Eventually(func() []map[string]any { return w.heard(standin.AppCrashed) }).Should(HaveLen(1))
	w.g.Expect(w.heard(standin.AppCrashed)[0]).To(And(HaveKeyWithValue("exit_status", 0.0), Not(HaveKey("crash_timestamp"))))
}

func TestACrashIsTakenInBeforeItsPodIsLetGo(t *testing.T) {
	w := newReportWorld(t, nil)
	stop := w.run()
	w.mutex.Lock() // nobody tells it that something has changed
	w.pods["a"] = &opi.InstanceRecord{LRPIdentifier: w.lrp, GUID: "a", Object: "pod-a", Crashes: 1, LastCrash: &opi.Crash{Description: "out of disk: limit 512M"}}
	w.mutex.Unlock()
	w.g.Expect(w.running.Observe(w.lrp)).To(Succeed())
	w.vanish("a")
	w.g.Eventually(func() []map[string]any { return w.heard(standin.AppCrashed) }).Should(ConsistOf(
		And(HaveKeyWithValue("exit_description", "out of disk: limit 512M"), Not(HaveKey("exit_status")))))
	stop()
	w.g.Expect(w.running.Observe(w.lrp)).NotTo(Succeed())
}

func TestMissedCrashesAreToldWithoutDetails(t *testing.T) {
	w := newReportWorld(t, nil)
	w.pod(0, "a", func(r *opi.InstanceRecord) { r.Told.Crashes = 2 })
	w.crash("a", 6)
	w.run()
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 6}))
	w.g.Expect(w.counts()).To(Equal([]int{3, 4, 5, 6}))
	for _, missed := range w.heard(standin.AppCrashed)[:3] {
		w.g.Expect(missed).To(And(HaveKeyWithValue("exit_description", "details unknown"), Not(HaveKey("exit_status")), Not(HaveKey("crash_timestamp"))))
	}
	w.g.Expect(w.heard(standin.AppCrashed)[3]).To(HaveKeyWithValue("exit_description", "crash 6"))
}

func TestDefiniteAnswersAreFinal(t *testing.T) {
	w := newReportWorld(t, nil)
	w.run()
	for n, status := range []int{404, 400} {
		w.cc.Fail(standin.Fault{Status: status, Times: 1})
		w.crash("a", n+1)
		w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: n + 1}))
	}
	w.g.Expect(w.cc.Received(standin.AppCrashed, "")).To(HaveLen(2))
	w.g.Expect(measured(w.g, w.metrics)).To(HaveKeyWithValue(`irene_instance_reports_total{answer="refused",report="crashed"}`, 2.0))
}

func TestCloudControllerIsAwayForCrashes(t *testing.T) {
	w := newReportWorld(t, nil)
	for _, fault := range []standin.Fault{{Cut: true}, {Status: 500}, {Status: 503}} {
		fault.Times = 1
		w.cc.Fail(fault)
	}
	back := w.cc.Fail(standin.Fault{Status: 429})
	w.run()
	const crashes = 60
	for n := 1; n <= crashes; n++ {
		w.crash("a", n)
	}
	w.crash("b", 1)
	w.g.Eventually(func() map[string]float64 { return measured(w.g, w.metrics) }).Should(HaveKeyWithValue("irene_instance_reports_pending", crashes+1.0))
	w.running.mutex.Lock()
	w.g.Expect(len(w.running.lrps[w.lrp].reports)).To(BeNumerically("<=", maxDetailed+3), "bounded")
	w.running.mutex.Unlock()
	back()
	w.g.Eventually(w.told("b")).Should(Equal(opi.InstanceTold{Crashes: 1}))
	w.g.Expect(w.counts()).To(Equal(append(upTo(crashes), 1)), "in order, and none is lost")
	detailed := 0
	for _, body := range w.heard(standin.AppCrashed)[:crashes] {
		if body["exit_description"] == fmt.Sprintf("crash %d", int(body["crash_count"].(float64))) {
			detailed++
		}
	}
	w.g.Expect(detailed).To(BeNumerically(">=", maxDetailed))
}

func TestCrashesDoNotUseUpTheBackOff(t *testing.T) {
	w := newReportWorld(t, nil)
	back := w.cc.Fail(standin.Fault{Status: 503})
	began := time.Now()
	w.run()
	for n := 1; n <= 30; n++ {
		w.crash("a", n)
	}
	w.g.Eventually(func() int { return len(w.cc.Received(standin.AppCrashed, "")) }).Should(BeNumerically(">=", 2))
	attempts, passed := len(w.cc.Received(standin.AppCrashed, "")), time.Since(began)
	// Pauses are at least half of 1, 2, 4 … s, however slow this machine is.
	most := 1
	for pause := firstPause / 2; pause <= passed; pause *= 2 {
		most++
		passed -= pause
	}
	w.g.Expect(attempts).To(BeNumerically("<=", most), "only attempts that were due")
	back()
	w.g.Eventually(w.counts).Should(Equal(upTo(30)))
}

func TestAnInstanceIsGoneBeforeItsCrashIsTold(t *testing.T) {
	w := newReportWorld(t, nil)
	back := w.cc.Fail(standin.Fault{Status: 503})
	w.run()
	w.crash("a", 1)
	w.crash("a", 2)
	w.vanish("a")
	back()
	w.g.Eventually(w.counts).Should(Equal([]int{1, 2}))
	w.g.Eventually(func() int {
		w.running.mutex.Lock()
		defer w.running.mutex.Unlock()
		return len(w.running.lrps)
	}).Should(BeZero(), "nothing is kept")
}

func TestReportsOfInstancesThatAreGoneAreBounded(t *testing.T) {
	g := NewWithT(t)
	q := &reportQueue{instances: map[string]*reportedInstance{}}
	dropped := 0
	for n := range maxGone + 10 {
		record := opi.InstanceRecord{GUID: fmt.Sprint(n), Crashes: 1}
		dropped += q.observe([]opi.InstanceRecord{record}, reportKinds{}, time.Now())
	}
	dropped += q.observe(nil, reportKinds{}, time.Now())
	g.Expect(dropped).To(Equal(10))
	g.Expect(q.reports).To(HaveLen(maxGone))
	g.Expect(q.instances).To(HaveLen(maxGone))
}

func TestAMarkThatFailsIsNoReasonToTellTwice(t *testing.T) {
	w := newReportWorld(t, nil)
	w.pod(0, "a", func(r *opi.InstanceRecord) { r.Told.Crashes = 0 })
	w.run()
	w.crash("a", 1)
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 1}))
	set := func(err error) {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.fail = err
	}
	set(errors.New("the API server is away"))
	w.crash("a", 2)
	w.g.Eventually(func() map[string]float64 { return measured(w.g, w.metrics) }).Should(
		HaveKeyWithValue("irene_instance_report_failures_total", BeNumerically(">=", 2)))
	set(nil)
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 2}))
	w.g.Expect(w.counts()).To(Equal([]int{1, 2}))
}

func TestWhatAnotherReplicaHasToldIsRead(t *testing.T) {
	w := newReportWorld(t, nil)
	w.pod(0, "a", func(r *opi.InstanceRecord) { r.Told = opi.InstanceTold{Crashes: 1, Rescheduled: true, Ready: true} })
	w.behind["a"] = opi.InstanceTold{}
	w.pod(0, "a", func(r *opi.InstanceRecord) { r.Rescheduled, r.Ready = "moves", new(true) })
	w.crash("a", 2)
	w.run()
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 2, Rescheduled: true, Ready: true}))
	w.g.Consistently(func() int { return len(w.cc.Received("", "")) }, 300*time.Millisecond).Should(Equal(1))
	w.g.Expect(w.counts()).To(Equal([]int{2}))
}

func TestAnInstanceMoves(t *testing.T) {
	w := newReportWorld(t, nil)
	w.run()
	w.pod(3, "a", func(r *opi.InstanceRecord) { r.Rescheduled = "evicted" })
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Rescheduled: true}))
	w.pod(3, "a", func(r *opi.InstanceRecord) { r.Rescheduled = "evicted again" })
	// The pod of an instance that is about to be removed is there until it is: without it,
	// a report that is delivered between the two calls is forgotten.
	w.pod(1, "b", func(*opi.InstanceRecord) {})
	w.g.Expect(w.running.Rescheduled(opi.InstanceRecord{LRPIdentifier: w.lrp, GUID: "b", Index: 1, Cell: "node", Rescheduled: "lost"})).To(Succeed())
	w.g.Expect(w.running.Rescheduled(opi.InstanceRecord{LRPIdentifier: w.lrp, GUID: "b", Index: 1, Cell: "node", Rescheduled: "lost"})).To(Succeed())
	w.g.Eventually(func() []map[string]any { return w.heard(standin.AppRescheduling) }).Should(HaveExactElements(
		Equal(map[string]any{"instance": "a", "index": 3.0, "cell_id": "node", "reason": "evicted"}),
		Equal(map[string]any{"instance": "b", "index": 1.0, "cell_id": "node", "reason": "lost"}),
	))
}

func TestReadinessIsToldAsItIs(t *testing.T) {
	w := newReportWorld(t, nil)
	w.run()
	is := func(ready bool) { w.pod(0, "a", func(r *opi.InstanceRecord) { r.Ready = &ready }) }
	is(false)
	is(true)
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Ready: true}))
	back := w.cc.Fail(standin.Fault{Status: 503})
	is(false)
	w.g.Eventually(func() int { return len(w.cc.Received(standin.AppReadinessChanged, "")) }).Should(BeNumerically(">", 1))
	is(true)
	w.g.Eventually(func() map[string]float64 { return measured(w.g, w.metrics) }).Should(HaveKeyWithValue("irene_instance_reports_pending", 0.0))
	back()
	is(false)
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{}))
	w.g.Expect(w.heard(standin.AppReadinessChanged)).To(HaveExactElements(
		Equal(map[string]any{"instance": "a", "index": 0.0, "cell_id": "node", "ready": true}), HaveKeyWithValue("ready", false)))
}

func TestOldCloudControllersAreToldOfCrashesOnly(t *testing.T) {
	w := newReportWorld(t, func(o *InstanceReportsOptions) { o.Rescheduling, o.Readiness = false, false })
	w.run()
	w.pod(0, "a", func(r *opi.InstanceRecord) { r.Rescheduled, r.Ready = "moves", new(true) })
	w.crash("a", 1)
	w.g.Expect(w.running.Rescheduled(opi.InstanceRecord{LRPIdentifier: w.lrp, GUID: "b"})).To(Succeed())
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 1}))
	w.g.Consistently(func() int { return len(w.cc.Received("", "")) }, 300*time.Millisecond).Should(Equal(1))
}

func TestLRPsDoNotWaitForEachOther(t *testing.T) {
	w := newReportWorld(t, func(o *InstanceReportsOptions) { o.Workers = 2 })
	other := lrpNumber(1)
	w.cc.AddProcess(other.GUID)
	w.cc.Fail(standin.Fault{Match: func(r *http.Request) bool { return r.PathValue("guid") == other.ProcessGUID() }, Stall: true})
	w.run()
	w.mutex.Lock()
	w.pods["x"] = &opi.InstanceRecord{LRPIdentifier: other, GUID: "x", Crashes: 1}
	w.mutex.Unlock()
	w.running.Changed(other)
	w.g.Eventually(func() int { return len(w.cc.Received("", other.ProcessGUID())) }).Should(Equal(1))
	w.crash("a", 1)
	w.g.Eventually(w.told("a")).Should(Equal(opi.InstanceTold{Crashes: 1}))
}

func TestInstanceReportsNeedAnAddress(t *testing.T) {
	g := NewWithT(t)
	for _, url := range []string{"", "cloud-controller.example", "ftp://cloud-controller.example", "https://user:password@cloud-controller.example", "https://cloud-controller.example?x=y"} {
		_, err := NewInstanceReports(InstanceReportsOptions{URL: url})
		g.Expect(err).To(HaveOccurred(), url)
		g.Expect(err.Error()).NotTo(ContainSubstring("password"))
	}
}
