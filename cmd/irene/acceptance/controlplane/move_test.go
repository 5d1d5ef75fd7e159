//go:build controlplane

package controlplane_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/loopback"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

// movedLRPs returns how many LRPs a foundation has that moves. "make bench" sets more.
func movedLRPs() int {
	GinkgoHelper()
	text, set := os.LookupEnv("IRENE_MOVE_LRPS")
	if !set {
		return 200
	}
	number, err := strconv.Atoi(text)
	Expect(err).NotTo(HaveOccurred())
	return number
}

const (
	// parallelDownloads is droplets.parallel_downloads here.
	parallelDownloads = 4
	// movedMemory bounds what is resident of an irene: some 60 MiB when it is idle, up to 35 MiB
	// for each droplet that is being converted, and as much again that is garbage.
	movedMemory = 2 * (60 + parallelDownloads*35) << 20
)

// foundation is a Cloud Foundry on Diego. Its processes come in apps of 3 or 4 that run the
// same droplet, and Cloud Controller has the droplets.
type foundation struct {
	cc   *standin.Server
	lrps []*models.DesiredLRP
	// dropletOf has the number of a droplet by the guid of a process that runs it.
	dropletOf map[string]int
	droplets  int
}

func newFoundation(cc *standin.Server, lrps int) *foundation {
	GinkgoHelper()
	f := &foundation{cc: cc, dropletOf: map[string]int{}, droplets: max(1, lrps*3/10)}
	apps := make([]string, f.droplets)
	contents := make([]droplet.Droplet, f.droplets)
	for i := range contents {
		var err error
		apps[i] = cloudcontroller.NewGUID()
		contents[i], err = droplet.New("./server", droplet.File("./app/guid", apps[i]))
		Expect(err).NotTo(HaveOccurred())
	}
	for i := range lrps {
		lrp, number := exampleLRP("bbs-02-desire-lrp-buildpack-plain.pb"), i%f.droplets
		process := processGUIDOf(lrp)
		kept, err := cc.AddDroplet(process, bytes.NewReader(contents[number].Content))
		Expect(err).NotTo(HaveOccurred())
		lrp.RootFs = "preloaded:" + imageworks.StackName
		lrp.Instances = 1
		lrp.MetricTags["app_id"] = &models.MetricTagValue{Static: apps[number]}
		lrp.MetricTags["process_id"] = &models.MetricTagValue{Static: process}
		download := lrp.Setup.GetSerialAction().GetActions()[0].GetDownloadAction()
		download.From = fmt.Sprintf("%s/internal/v4/droplets/%s/%s/download", cc.URL(), process, kept.Blob.SHA256)
		download.ChecksumAlgorithm, download.ChecksumValue = "sha256", kept.Blob.SHA256
		f.lrps, f.dropletOf[process] = append(f.lrps, lrp), number
	}
	return f
}

// downloads returns how often each droplet left Cloud Controller as a whole.
func (f *foundation) downloads() []int {
	times := make([]int, f.droplets)
	for _, request := range f.cc.Received(standin.SignedBlob, "") {
		if request.Status == 200 {
			times[f.dropletOf[request.GUID[len("droplets/of/"):]]]++
		}
	}
	return times
}

// busiest returns how many requests Cloud Controller worked on at the same time, at most.
func (f *foundation) busiest() int {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, request := range f.cc.Received("", "") {
		changes = append(changes, change{request.At, 1}, change{request.At.Add(request.Took), -1})
	}
	slices.SortFunc(changes, func(a, b change) int { return a.at.Compare(b.at) })
	now, most := 0, 0
	for _, change := range changes {
		now += change.by
		most = max(most, now)
	}
	return most
}

var _ = Describe("A foundation that moves from Diego", func() {
	It("runs completely, and nothing of it twice, although Cloud Controller and a replica go away meanwhile", func(ctx context.Context) {
		certificates := steptest.NewPlatform(GinkgoTB(), net.ParseIP("127.0.0.1"))
		cc, err := standin.Start(standin.Options{TLS: &standin.TLS{
			CertificateFile: certificates.File("server.pem"), KeyFile: certificates.File("server.key"), AuthorityFile: certificates.File("ca.pem"),
			UploaderCertificateFile: certificates.File("client.pem"), UploaderKeyFile: certificates.File("client.key"),
		}})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(cc.Close)
		diegos := newFoundation(cc, movedLRPs())

		works, err := imageworks.Start(GinkgoT().TempDir(), GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(works.Stop)
		settings := works.Settings()
		settings["cloud_controller"] = map[string]any{
			"url": cc.URL(), "ca_file": certificates.File("ca.pem"), "certificate_file": certificates.File("client.pem"), "key_file": certificates.File("client.key"),
		}
		settings["droplets"] = map[string]any{"source": map[string]any{"url": ""}, "parallel_downloads": parallelDownloads}
		// A folder that is missing: droplets take no disk on their way to this registry.
		settings["registry"].(map[string]any)["spool_directory"] = GinkgoT().TempDir() + "/missing"
		settings["bbs"] = map[string]any{"listen": map[string]any{"address": loopback.Address(), "plaintext": true}}
		place := &assembling{Platform: newPlatform(ctx, direct(), settings), Works: works}
		place.importStack(ctx)
		replicas := []*ireneprocess.Process{place.Start(ctx), place.Start(ctx)}
		caller := newSyncCaller(replicas[0].BBSURL, replicas[1].BBSURL)
		usage := watchUsage(ctx, replicas)

		By("desiring everything by Cloud Controller's sync")
		normal := cc.Fail(standin.Fault{Endpoint: standin.DropletDownload, Delay: 100 * time.Millisecond})
		began := time.Now()
		synced := make(chan time.Duration, 1)
		go func() {
			defer GinkgoRecover()
			defer close(synced)
			caller.syncUntilAllIsThere(ctx, diegos.lrps)
			synced <- time.Since(began)
		}()
		Eventually(func() int { return len(cc.Received(standin.SignedBlob, "")) }).WithTimeout(time.Minute).Should(BeNumerically(">=", diegos.droplets/4))
		leader := slices.IndexFunc(replicas, func(replica *ireneprocess.Process) bool { return controlplane.Gauge(ctx, replica, "irene_leader") == 1 })
		Expect(leader).To(BeNumerically(">=", 0))
		before := len(cc.Received(standin.SignedBlob, ""))
		replicas[leader].Kill()
		defer time.AfterFunc(time.Second, func() { caller.forget(replicas[leader].BBSURL) }).Stop()
		normal()
		back := cc.Fail(standin.Fault{Cut: true})
		survivor := replicas[1-leader]
		var took time.Duration
		Eventually(synced).WithTimeout(2 * time.Minute).Should(Receive(&took))
		if _, measured := os.LookupEnv("IRENE_MOVE_LRPS"); measured {
			// A benchmark has the machine for itself; other specs run next to this one.
			Expect(took).To(BeNumerically("<", time.Minute), "Cloud Controller is not needed for it")
			Expect(caller.slowest()).To(BeNumerically("<", 10*time.Second), "later answers are not waited for")
		}
		Eventually(func() int { return len(cc.Received(standin.DropletDownload, "")) }).WithTimeout(time.Minute).Should(BeNumerically(">", before), "the other replica goes on")
		back()

		By("waiting until everything runs")
		running := diego{survivor.BBSURL}
		Eventually(func() int { return running.running(ctx, diegos.lrps) }).WithTimeout(4 * time.Minute).WithPolling(500 * time.Millisecond).Should(Equal(len(diegos.lrps)))
		all := time.Since(began)
		sets, err := api.AppsV1().StatefulSets(place.Namespace).List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		processes, images := map[string]bool{}, map[string]bool{}
		for _, set := range sets.Items {
			Expect(set.Annotations).NotTo(HaveKey(keys.AwaitedImage))
			Expect(processes).NotTo(HaveKey(set.Annotations[keys.ProcessGUID]))
			processes[set.Annotations[keys.ProcessGUID]] = true
			images[set.Spec.Template.Spec.Containers[0].Image] = true
		}
		Expect(processes).To(HaveLen(len(diegos.lrps)))
		Expect(images).To(HaveLen(diegos.droplets), "one image for each droplet")
		pods, err := api.CoreV1().Pods(place.Namespace).List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(pods.Items).To(HaveLen(len(diegos.lrps)))

		By("counting")
		downloads := diegos.downloads()
		Expect(slices.Min(downloads)).To(BeNumerically(">=", 1))
		Expect(slices.Max(downloads)).To(BeNumerically("<=", 2))
		twice := 0
		for _, times := range downloads {
			twice += times - 1
		}
		Expect(twice).To(BeNumerically("<=", 2*parallelDownloads), "those that were under way when the replica was killed")
		Expect(diegos.busiest()).To(BeNumerically("<=", 2*parallelDownloads), "of two replicas")
		resident := usage()
		Expect(resident).To(BeNumerically("<", movedMemory))
		calls := 0.0
		for _, metric := range controlplane.Metrics(ctx, survivor)["irene_kubernetes_calls_total"].GetMetric() {
			calls += metric.GetCounter().GetValue()
		}
		AddReportEntry("the move", fmt.Sprintf("%d LRPs, %d droplets: accepted after %s, all running after %s; slowest answer %s; %d droplets came twice, %d requests to Cloud Controller at once; "+
			"%d MiB resident; %.1f calls of the surviving replica to the API server for each LRP", len(diegos.lrps), diegos.droplets, took.Round(100*time.Millisecond),
			all.Round(100*time.Millisecond), caller.slowest().Round(time.Millisecond), twice, diegos.busiest(), int(resident)>>20, calls/float64(len(diegos.lrps))), ReportEntryVisibilityAlways)
	}, SpecTimeout(8*time.Minute))
})

// running returns how many instances of LRPs run, in one request for all.
func (d diego) running(ctx context.Context, lrps []*models.DesiredLRP) int {
	GinkgoHelper()
	request := &models.ActualLRPsByProcessGuidsRequest{}
	for _, lrp := range lrps {
		request.ProcessGuids = append(request.ProcessGuids, lrp.ProcessGuid)
	}
	var answer models.ActualLRPsByProcessGuidsResponse
	d.call(ctx, "/v1/actual_lrps/list_by_process_guids", request, &answer)
	Expect(answer.Error).To(BeNil())
	count := 0
	for _, instance := range answer.ActualLrps {
		if instance.State == models.ActualLRPStateRunning {
			count++
		}
	}
	return count
}

// watchUsage looks at the memory of processes until the returned function is called, which
// returns the most that one of them had.
func watchUsage(ctx context.Context, processes []*ireneprocess.Process) func() float64 {
	ctx, cancel := context.WithCancel(ctx)
	most, done := 0.0, make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(done)
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, process := range processes {
				most = max(most, residentOf(ctx, process))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() float64 {
		cancel()
		<-done
		return most
	}
}

// residentOf returns 0 for a process that has ended.
func residentOf(ctx context.Context, process *ireneprocess.Process) float64 {
	if !process.Running() || ctx.Err() != nil {
		return 0
	}
	text, err := process.Metrics(ctx)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines([]byte(text)) {
		if value, found := bytes.CutPrefix(line, []byte("process_resident_memory_bytes ")); found {
			number, err := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
			Expect(err).NotTo(HaveOccurred())
			return number
		}
	}
	return 0
}
