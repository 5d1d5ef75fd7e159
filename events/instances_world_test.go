package events

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// instances keeps records as Kubernetes keeps pods.
type instances struct {
	mutex sync.Mutex
	pods  map[string]*opi.InstanceRecord // by guid
	// behind is what Records shows instead of what was marked.
	behind map[string]opi.InstanceTold
	fail   error
	marks  int
}

func newInstances() *instances {
	return &instances{pods: map[string]*opi.InstanceRecord{}, behind: map[string]opi.InstanceTold{}}
}

func (i *instances) Synced() bool { return true }

func (i *instances) Identities() []opi.LRPIdentifier {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	seen := map[opi.LRPIdentifier]bool{}
	var all []opi.LRPIdentifier
	for _, pod := range i.pods {
		if !seen[pod.LRPIdentifier] {
			seen[pod.LRPIdentifier] = true
			all = append(all, pod.LRPIdentifier)
		}
	}
	return all
}

func (i *instances) Records(id opi.LRPIdentifier) []opi.InstanceRecord {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	var all []opi.InstanceRecord
	for guid, pod := range i.pods {
		if pod.LRPIdentifier == id {
			record := *pod
			if told, behind := i.behind[guid]; behind {
				record.Told = told
			}
			all = append(all, record)
		}
	}
	return all
}

func (i *instances) Told(_ context.Context, record opi.InstanceRecord) (opi.InstanceTold, error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	pod := i.pods[record.GUID]
	if pod == nil {
		return opi.InstanceTold{}, opi.ErrNotFound
	}
	return pod.Told, i.fail
}

func (i *instances) Mark(_ context.Context, record opi.InstanceRecord, told opi.InstanceTold) error {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	pod := i.pods[record.GUID]
	switch {
	case i.fail != nil:
		return i.fail
	case pod == nil:
		return opi.ErrNotFound
	}
	pod.Told = told
	i.marks++
	return nil
}

// reportWorld is a Cloud Controller, one LRP and who reports it.
type reportWorld struct {
	*instances
	g       *WithT
	t       *testing.T
	cc      *standin.Server
	lrp     opi.LRPIdentifier
	options InstanceReportsOptions
	running *InstanceReports
	metrics *prometheus.Registry
}

func newReportWorld(t *testing.T, edit func(*InstanceReportsOptions)) *reportWorld {
	t.Helper()
	g := NewWithT(t)
	// Longer than the longest pause between two attempts, which a slow machine gets to.
	g.SetDefaultEventuallyTimeout(2 * time.Minute)
	cc, err := standin.Start(standin.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(cc.Close()).To(Succeed()) })
	w := &reportWorld{instances: newInstances(), g: g, t: t, cc: cc, lrp: lrpNumber(0)}
	cc.AddProcess(w.lrp.GUID)
	w.options = InstanceReportsOptions{Instances: w.instances, Doors: Doors{opi.DoorOPI: api.Encoder{}}, URL: cc.URL(), Rescheduling: true, Readiness: true}
	if edit != nil {
		edit(&w.options)
	}
	return w
}

func lrpNumber(n int) opi.LRPIdentifier {
	return opi.LRPIdentifier{GUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), Version: "v"}
}

// run reports until the test ends or it is stopped.
func (w *reportWorld) run() (stop func()) {
	w.t.Helper()
	options := w.options
	options.Logger, w.metrics = lagertest.NewTestLogger("test"), prometheus.NewRegistry()
	options.Registerer = w.metrics
	var err error
	options.CloudController, err = NewCloudController(ClientOptions{RequestTimeout: time.Second, Logger: options.Logger, Registerer: w.metrics})
	w.g.Expect(err).NotTo(HaveOccurred())
	w.running, err = NewInstanceReports(options)
	w.g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.running.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done; options.CloudController.Close() }
	w.t.Cleanup(stop)
	w.g.Eventually(func() bool {
		w.running.mutex.Lock()
		defer w.running.mutex.Unlock()
		return w.running.deliveries != nil
	}).Should(BeTrue())
	return stop
}

// pod changes an instance, and makes it if there is none of that guid.
func (w *reportWorld) pod(index int, guid string, change func(*opi.InstanceRecord)) {
	w.mutex.Lock()
	pod := w.pods[guid]
	if pod == nil {
		pod = &opi.InstanceRecord{LRPIdentifier: w.lrp, Index: index, GUID: guid, Cell: "node", Object: "pod-" + guid}
		w.pods[guid] = pod
	}
	change(pod)
	w.mutex.Unlock()
	if w.running != nil {
		w.running.Changed(w.lrp)
	}
}

// crash has an instance crash for the nth time, and waits until that is noticed.
func (w *reportWorld) crash(guid string, n int) {
	w.t.Helper()
	w.pod(0, guid, func(r *opi.InstanceRecord) {
		r.Crashes = n
		r.LastCrash = &opi.Crash{ExitStatus: new(int32(n)), Description: fmt.Sprintf("crash %d", n), At: time.Unix(int64(n), 0)}
	})
	if w.running == nil {
		return
	}
	w.g.Eventually(func() bool {
		w.running.mutex.Lock()
		defer w.running.mutex.Unlock()
		queue := w.running.lrps[w.lrp]
		return queue != nil && queue.instances[guid] != nil && queue.instances[guid].seen.Crashes >= n
	}).Should(BeTrue())
}

func (w *reportWorld) vanish(guid string) {
	w.mutex.Lock()
	delete(w.pods, guid)
	w.mutex.Unlock()
	w.running.Changed(w.lrp)
}

// heard is what Cloud Controller took, in order.
func (w *reportWorld) heard(endpoint standin.Endpoint) []map[string]any {
	var all []map[string]any
	for _, request := range w.cc.Received(endpoint, w.lrp.ProcessGUID()) {
		if request.Status != 200 {
			continue
		}
		var body map[string]any
		w.g.Expect(json.Unmarshal(request.Body, &body)).To(Succeed())
		all = append(all, body)
	}
	return all
}

// counts are the crash counts that Cloud Controller took, in order.
func (w *reportWorld) counts() []int {
	counts := []int{}
	for _, body := range w.heard(standin.AppCrashed) {
		counts = append(counts, int(body["crash_count"].(float64)))
	}
	return counts
}

func (w *reportWorld) told(guid string) func() opi.InstanceTold {
	return func() opi.InstanceTold {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		if w.pods[guid] == nil {
			return opi.InstanceTold{}
		}
		return w.pods[guid].Told
	}
}
