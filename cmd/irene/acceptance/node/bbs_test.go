//go:build node

package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"code.cloudfoundry.org/bbs/models"
	"github.com/gogo/protobuf/proto"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/bbsclient"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/loopback"
)

// bbsInstallation makes app images itself and is asked through the BBS door alone.
type bbsInstallation struct {
	*assembling
	cloudController *standin.Server
	door            *bbsclient.Client
}

func newBBSInstallation(ctx context.Context, namespace string) *bbsInstallation {
	GinkgoHelper()
	cc, err := standin.Start(standin.Options{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cc.Close)
	works, err := imageworks.Start(GinkgoT().TempDir(), GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	i := &bbsInstallation{cloudController: cc, assembling: assembleWith(ctx, namespace, works, map[string]any{
		"bbs":              map[string]any{"listen": map[string]any{"address": loopback.Address(), "plaintext": true}},
		"cloud_controller": map[string]any{"url": cc.URL()},
	})}
	i.door, err = bbsclient.New(bbsclient.Options{URL: i.BBSURL})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(i.door.Close)
	return i
}

// bbsApp is an LRP of the BBS door.
type bbsApp struct {
	*models.DesiredLRP
	home *bbsInstallation
}

// newApp returns one of Cloud Controller's own LRPs, changed to run a droplet under guids of
// its own, with one instance that has two ports, each of them checked and routed to.
func (i *bbsInstallation) newApp(name, command string, from droplet.Droplet) *bbsApp {
	GinkgoHelper()
	content, err := fixtures.BBS.ReadFile("bbs/bbs-02-desire-lrp-buildpack-plain.pb")
	Expect(err).NotTo(HaveOccurred())
	var request models.DesireLRPRequest
	Expect(proto.Unmarshal(content, &request)).To(Succeed())
	lrp := request.DesiredLrp
	guid := cloudcontroller.NewGUID()
	lrp.ProcessGuid = guid + "-" + cloudcontroller.NewGUID()
	lrp.MetricTags["app_id"] = &models.MetricTagValue{Static: guid}
	lrp.MetricTags["app_name"] = &models.MetricTagValue{Static: name}
	lrp.RootFs = "preloaded:" + imageworks.StackName
	download := lrp.Setup.GetSerialAction().GetActions()[0].GetDownloadAction()
	download.From = strings.NewReplacer("{partition}", from.GUID[:2]+"/"+from.GUID[2:4], "{droplet_guid}", from.GUID, "{hash}", from.Hash).Replace(i.works.Droplets.URL())
	download.ChecksumAlgorithm, download.ChecksumValue = "sha1", from.Hash
	lrp.Instances, lrp.MemoryMb, lrp.DiskMb, lrp.CpuWeight = 1, 128, 256, 1
	lrp.Ports = []uint32{8080, 8081}
	lrp.CheckDefinition.Checks = nil
	for _, port := range lrp.Ports {
		lrp.CheckDefinition.Checks = append(lrp.CheckDefinition.Checks, &models.Check{TcpCheck: &models.TCPCheck{Port: port, IntervalMs: 5000}})
	}
	routes := json.RawMessage(fmt.Sprintf(`[{"hostnames":["%s.apps.example.com"],"port":8080},{"hostnames":["%s-other.apps.example.com"],"port":8081}]`, name, name))
	lrp.Routes = &models.Routes{"cf-router": &routes}
	app := lrp.Action.GetCodependentAction().GetActions()[0].GetRunAction()
	app.Args[1] = command
	lrp.Action = models.WrapAction(models.Codependent(app))
	i.cloudController.AddProcess(guid)
	return &bbsApp{DesiredLRP: lrp, home: i}
}

// variable sets a variable of a run action.
func variable(run *models.RunAction, name, value string) {
	run.Env = append(run.Env, &models.EnvironmentVariable{Name: name, Value: value})
}

func (a *bbsApp) app() *models.RunAction {
	return a.Action.GetCodependentAction().GetActions()[0].GetRunAction()
}

// addSidecar adds a sidecar that has the app's environment so far.
func (a *bbsApp) addSidecar(name, command string) *models.RunAction {
	sidecar := *a.app()
	sidecar.Args = []string{"app", command, ""}
	sidecar.Env = append([]*models.EnvironmentVariable{}, sidecar.Env...)
	sidecar.LogSource = "APP/PROC/WEB/SIDECAR/" + strings.ToUpper(name)
	a.Action.CodependentAction.Actions = append(a.Action.CodependentAction.Actions, models.WrapAction(&sidecar))
	return &sidecar
}

// desire sends the LRP, and removes it when the spec ends.
func (a *bbsApp) desire(ctx context.Context) {
	GinkgoHelper()
	DeferCleanup(func(ctx context.Context) {
		if CurrentSpecReport().Failed() {
			a.explain(ctx)
		}
		a.remove(ctx)
	})
	Expect(a.home.door.DesireLRP(ctx, a.DesiredLRP)).To(Succeed())
}

// remove stops the LRP; one that is not there is no error.
func (a *bbsApp) remove(ctx context.Context) {
	GinkgoHelper()
	Expect(a.home.door.RemoveLRP(ctx, a.ProcessGuid)).To(Succeed())
}

func (a *bbsApp) states(ctx context.Context) []string {
	GinkgoHelper()
	instances, err := a.home.door.Instances(ctx, a.ProcessGuid)
	Expect(err).NotTo(HaveOccurred())
	var states []string
	for _, instance := range instances {
		states = append(states, strings.TrimSuffix(instance.State+": "+instance.PlacementError, ": "))
	}
	return states
}

func (a *bbsApp) selector() string { return "cloudfoundry.org/guid=" + a.ProcessGuid[:36] }

// pods are those of the LRP.
func (a *bbsApp) pods(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	list, err := node.client.CoreV1().Pods(a.home.namespace).List(ctx, metav1.ListOptions{LabelSelector: a.selector()})
	Expect(err).NotTo(HaveOccurred())
	return list.Items
}

// ask sends GET to a port of the only instance.
func (a *bbsApp) ask(ctx context.Context, port, path string) (string, error) {
	GinkgoHelper()
	pods := a.pods(ctx)
	Expect(pods).To(HaveLen(1))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(pods[0].Status.PodIP, port)+path, nil)
	if err != nil {
		return "", err
	}
	answer, err := browser.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }() // only read
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// crash is what Cloud Controller reads of a report.
type crash struct {
	Status      int    `json:"exit_status"`
	Description string `json:"exit_description"`
	Count       int    `json:"crash_count"`
}

func (a *bbsApp) crashes() []crash {
	var all []crash
	for _, request := range a.home.cloudController.Received(standin.AppCrashed, a.ProcessGuid) {
		var c crash
		Expect(json.Unmarshal(request.Body, &c)).To(Succeed())
		all = append(all, c)
	}
	return all
}

// explain shows what a person would look at when the LRP is not as it should be.
func (a *bbsApp) explain(ctx context.Context) {
	for _, arguments := range [][]string{
		{"describe", "pods", "--namespace", a.home.namespace, "--selector", a.selector()},
		{"logs", "--namespace", a.home.namespace, "--selector", a.selector(), "--tail", "20"},
	} {
		printed, err := node.kubectl(ctx, arguments...)
		if err != nil {
			printed += err.Error()
		}
		AddReportEntry("kubectl "+strings.Join(arguments, " "), printed)
	}
	AddReportEntry("irene's log", tail(a.home.log.Name(), 30))
}

var _ = Describe("the BBS door", func() {
	It("runs an app with its sidecars until one of them ends, and checks each port", func(ctx SpecContext) {
		home := newBBSInstallation(ctx, "bbs")
		from := home.newDroplet()
		a := home.newApp("paired", "./sampleapp", from)
		variable(a.app(), "SHARED", "hunter2")
		variable(a.app(), "MEMORY_LIMIT", "96m")
		sidecar := a.addSidecar("logger", `printf 'without a line feed' >&2; PORT=8081 exec ./sampleapp of "$HOME"`)
		variable(sidecar, "MEMORY_LIMIT", "32m")
		variable(sidecar, "OWN", "a $secret $(X)")
		a.desire(ctx)
		// Only one of two ports is open, ever.
		half := home.newApp("half", "./sampleapp", from)
		half.StartTimeoutMs = 4000
		half.desire(ctx)

		Eventually(a.states).WithContext(ctx).Should(Equal([]string{"RUNNING"}))
		Expect(a.ask(ctx, "8080", "/env/MEMORY_LIMIT")).To(Equal("96m"))
		Expect(a.ask(ctx, "8081", "/env/MEMORY_LIMIT")).To(Equal("32m"))
		Expect(a.ask(ctx, "8081", "/env/OWN")).To(Equal("a $secret $(X)"))
		Expect(a.ask(ctx, "8081", "/env/SHARED")).To(Equal("hunter2"))
		Expect(a.ask(ctx, "8081", "/args")).To(MatchJSON(`["./sampleapp","of","/home/vcap/app"]`))
		Expect(a.ask(ctx, "8080", "/env/OWN")).NotTo(ContainSubstring("secret"))

		By("reaching both through the router")
		for _, host := range []string{"paired.apps.example.com", "paired-other.apps.example.com"} {
			Eventually(func(ctx context.Context) (string, error) { return askByName(ctx, host, "/env/SHARED", "") }).WithContext(ctx).Should(Equal("hunter2"))
		}

		By("ending the sidecar")
		_, _ = a.ask(ctx, "8081", "/exit?code=3")
		Eventually(a.crashes).WithContext(ctx).Should(Equal([]crash{{3, "APP/PROC/WEB/SIDECAR/LOGGER: Exited with status 3", 1}}))
		Eventually(a.states).WithContext(ctx).Should(Equal([]string{"RUNNING"}))
		logs, err := node.kubectl(ctx, "logs", "--namespace", home.namespace, "--previous", a.pods(ctx)[0].Name)
		Expect(err).NotTo(HaveOccurred())
		lines := strings.Split(logs, "\n")
		Expect(lines).To(ContainElement(MatchRegexp(`^\[APP/PROC/WEB/SIDECAR/LOGGER\] sampleapp: .* starting$`)))
		Expect(lines).To(ContainElement(MatchRegexp(`^sampleapp: .* starting$`)))
		Expect(lines).To(ContainElement(MatchRegexp(`^sampleapp: .* stopping$`)), "the app was asked to end")
		Expect(lines).To(ContainElement("[APP/PROC/WEB/SIDECAR/LOGGER] without a line feed"))
		_, _ = a.ask(ctx, "8081", "/exit?code=0")
		Eventually(a.crashes).WithContext(ctx).Should(HaveLen(2))
		Expect(a.crashes()[1]).To(Equal(crash{0, "APP/PROC/WEB/SIDECAR/LOGGER: Exited with status 0", 2}))
		Eventually(a.states).WithContext(ctx).Should(Or(
			Equal([]string{"CRASHED: APP/PROC/WEB/SIDECAR/LOGGER: Exited with status 0"}), Equal([]string{"RUNNING"})))

		By("not starting the app that misses a port")
		// On a busy machine its first start may miss the other port as well.
		Eventually(half.crashes).WithContext(ctx).Should(ContainElement(HaveField("Description",
			"failed health check: port 8081 refused the connection (not passed within 4s of the start)")))

		By("removing it")
		a.remove(ctx)
		Expect(a.states(ctx)).To(BeEmpty())
		Eventually(func(ctx context.Context) []corev1.Pod { return a.pods(ctx) }).WithContext(ctx).Should(BeEmpty())
		Eventually(func() any { return node.router.Endpoints("paired.apps.example.com") }).WithContext(ctx).Should(BeEmpty())
	}, SpecTimeout(3*time.Minute))
})
