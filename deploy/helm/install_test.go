//go:build node

package helm_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/k8s/keys"
)

// TestInstallation is a cluster operator's day: build and push the image, install with
// irene's own registry, import a stack, run an app, upgrade, uninstall, clean up.
func TestInstallation(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(2 * time.Minute)
	g.SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	p := startPlatform(ctx, t)

	p.did("the cluster runs")
	image := p.pushImage(ctx)
	p.did("image pushed")
	p.prepare(ctx)
	settings := p.writeValues(image)
	p.helm(ctx, "install", releaseName, chart, "--namespace", releaseNamespace, "--values", settings, "--wait", "--timeout", "4m")
	p.did("installed")
	g.Expect(p.readyReplicas(ctx)).To(BeEquivalentTo(2))

	p.kubectl(ctx, "--namespace", releaseNamespace, "exec", "deployment/irene", "--", "/irene/irene", "stack", "import",
		"--config", "/etc/irene/config/irene.yml", "--source-plain-http", stackName, p.stackImage(ctx))
	p.did("stack imported")
	app := p.runApp(ctx)
	p.did("app answers through the router")

	// A rollout: nobody who calls sees anything of it.
	old, err := p.ireneUIDs(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	caller := p.callWithoutPause(ctx)
	p.helm(ctx, "upgrade", releaseName, chart, "--namespace", releaseNamespace, "--values", settings,
		"--set", "config.log.level=debug", "--wait", "--timeout", "4m")
	g.Eventually(p.ireneUIDs).WithContext(ctx).Should(And(HaveLen(2), Not(ContainElements(old))))
	calls, failures := caller.stop()
	t.Logf("%d calls while both replicas were replaced", calls)
	g.Expect(failures).To(BeEmpty())
	g.Expect(calls).To(BeNumerically(">", 10))
	p.did("upgraded")

	// A build whose outcome Cloud Controller will never learn.
	p.stageWhatCantBeReported(ctx)
	g.Eventually(p.reportedJobs).WithContext(ctx).Should(HaveLen(1))

	p.helm(ctx, "uninstall", releaseName, "--namespace", releaseNamespace, "--wait", "--timeout", "4m")
	p.did("uninstalled")
	g.Expect(p.reportedJobs(ctx)).To(BeEmpty())
	leases, err := p.client.CoordinationV1().Leases(releaseNamespace).List(ctx, metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(leases.Items).To(BeEmpty())
	printed := p.kubectl(ctx, "get", "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,flowschemas,prioritylevelconfigurations",
		"--selector", "app.kubernetes.io/instance="+releaseName, "--output", "name")
	g.Expect(strings.TrimSpace(printed)).To(BeEmpty())
	g.Expect(p.answers(ctx, app)).To(BeTrue(), "apps outlive irene")

	for _, namespace := range []string{appNamespace, releaseNamespace} {
		g.Expect(p.client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})).To(Succeed())
	}
	for _, namespace := range []string{appNamespace, releaseNamespace} {
		g.Eventually(func() bool {
			_, err := p.client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}).WithContext(ctx).Should(BeTrue(), namespace)
	}
	p.did("nothing is left")
}

// runApp has a buildpack app assembled, pulled and routed.
func (p *platform) runApp(ctx context.Context) string {
	p.t.Helper()
	g := NewWithT(p.t)
	made, err := droplet.New("./sampleapp", droplet.Program("./app/sampleapp", p.read(binaries+"/sampleapp")))
	g.Expect(err).NotTo(HaveOccurred())
	p.droplets.Put(made)
	desire := cloudcontroller.NewBuildpack("installed").Droplet(made.GUID, made.Hash, "")
	answer, err := p.irene(ctx).Desire(ctx, desire)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer.Status).To(Equal(http.StatusAccepted), answer.Message())
	host := "installed.apps.example.com"
	g.Eventually(func() bool { return p.answers(ctx, host) }, 2*time.Minute, 100*time.Millisecond).Should(BeTrue(), func() string {
		states, err := p.irene(ctx).Instances(ctx, desire.GUID(), desire.Version())
		return p.kubectl(ctx, "--namespace", appNamespace, "get", "pods,events") + describe(states, err)
	})
	return host
}

// stageWhatCantBeReported asks for a build with a callback that leads nowhere.
func (p *platform) stageWhatCantBeReported(ctx context.Context) {
	p.t.Helper()
	g := NewWithT(p.t)
	guid := cloudcontroller.NewGUID()
	answer, err := p.irene(ctx).Call(ctx, http.MethodPost, "/stage/"+guid, map[string]any{
		"app_guid": cloudcontroller.NewGUID(), "app_name": "stuck", "staging_guid": guid,
		"org_name": "o", "org_guid": cloudcontroller.NewGUID(), "space_name": "s", "space_guid": cloudcontroller.NewGUID(),
		"completion_callback": "http://127.0.0.1:1/done", "memory_mb": 64, "disk_mb": 64, "cpu_weight": 1,
		"environment": []any{},
		"lifecycle":   map[string]any{"docker_lifecycle": map[string]any{"image": "127.0.0.1:1/none"}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer.Status).To(Equal(http.StatusAccepted), answer.Message())
}

// reportedJobs are those that irene's finalizer keeps.
func (p *platform) reportedJobs(ctx context.Context) ([]batchv1.Job, error) {
	all, err := p.client.BatchV1().Jobs(appNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	kept := []batchv1.Job{}
	for _, job := range all.Items {
		for _, finalizer := range job.Finalizers {
			if finalizer == keys.ReportFinalizer {
				kept = append(kept, job)
			}
		}
	}
	return kept, nil
}

// caller asks irene again and again, with a new connection each time.
type caller struct {
	end  context.CancelFunc
	done chan struct{}
	// calls and failures may be read after done.
	calls    int
	failures []string
}

func (p *platform) callWithoutPause(ctx context.Context) *caller {
	ctx, end := context.WithCancel(ctx)
	c := &caller{end: end, done: make(chan struct{})}
	irene := p.irene(ctx)
	go func() {
		defer close(c.done)
		for ctx.Err() == nil {
			answer, err := irene.Call(ctx, http.MethodGet, "/apps", nil)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				c.failures = append(c.failures, err.Error())
			case answer.Status != http.StatusOK:
				c.failures = append(c.failures, answer.Message())
			}
			c.calls++
		}
	}()
	return c
}

func (c *caller) stop() (calls int, failures []string) {
	c.end()
	<-c.done
	return c.calls, c.failures
}

// listen is a server that pods reach.
func (p *platform) listen(handler http.Handler) string {
	p.t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(p.NodeAddress, "0"))
	NewWithT(p.t).Expect(err).NotTo(HaveOccurred())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // until it is closed
	}()
	p.t.Cleanup(func() {
		_ = server.Close() // it only served the test
		<-ended
	})
	return listener.Addr().String()
}
