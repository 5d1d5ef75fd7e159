//go:build node

package node_test

import (
	"encoding/json"
	"net"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

var _ = Describe("a crash", func() {
	It("is told Cloud Controller as it was, once, over mutual TLS", func(ctx SpecContext) {
		certificates := steptest.NewPlatform(GinkgoTB(), net.ParseIP("127.0.0.1"))
		cc, err := standin.Start(standin.Options{TLS: &standin.TLS{
			CertificateFile: certificates.File("server.pem"), KeyFile: certificates.File("server.key"), AuthorityFile: certificates.File("ca.pem"),
			UploaderCertificateFile: certificates.File("client.pem"), UploaderKeyFile: certificates.File("client.key"),
		}})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(cc.Close)
		home := newInstallation(ctx, "told", nil, map[string]any{"cloud_controller": map[string]any{
			"url": cc.URL(), "ca_file": certificates.File("ca.pem"), "certificate_file": certificates.File("client.pem"), "key_file": certificates.File("client.key"),
		}})
		start := func(d cloudcontroller.Desire) *app {
			cc.AddProcess(d.GUID())
			return home.push(ctx, d)
		}
		exits := start(newBuildpackApp("exits"))
		hungry := start(newBuildpackApp("hungry").With("memory_mb", 64))
		ill := start(newBuildpackApp("ill").With("health_check_type", "http").With("health_check_http_endpoint", "/health"))
		deaf := start(newBuildpackApp("deaf"))
		late := start(newBuildpackApp("late").Env("SAMPLE_START_DELAY", "1h").With("start_timeout_ms", 3000))
		stopped := start(newBuildpackApp("stopped"))
		for _, a := range []*app{exits, hungry, ill, deaf, stopped} {
			a.awaitRunning(ctx)
		}

		type crash struct {
			Instance    string `json:"instance"`
			Cell        string `json:"cell_id"`
			Reason      string `json:"reason"`
			Status      *int   `json:"exit_status"`
			Description string `json:"exit_description"`
			Count       int    `json:"crash_count"`
			Timestamp   int64  `json:"crash_timestamp"`
		}
		told := func(a *app) func() []crash {
			return func() []crash {
				var all []crash
				for _, request := range cc.Received(standin.AppCrashed, a.GUID()+"-"+a.Version()) {
					var c crash
					Expect(json.Unmarshal(request.Body, &c)).To(Succeed())
					all = append(all, c)
				}
				return all
			}
		}

		By("ending in every way")
		_, _ = ask(ctx, exits.pod(ctx, 0).Status.PodIP, "/exit?code=0")
		_, _ = ask(ctx, hungry.pod(ctx, 0).Status.PodIP, "/oom")
		ill.get(ctx, 0, "/unhealthy")
		deaf.get(ctx, 0, "/unhealthy?close=true")
		Expect(stopped.home.StopInstance(ctx, stopped.GUID(), stopped.Version(), "0")).To(HaveField("Status", 200))
		Eventually(told(exits)).Should(HaveLen(1))
		first := told(exits)()[0]
		Expect(first.Instance).To(Equal(string(exits.pod(ctx, 0).UID)))
		Expect(first.Cell).To(Equal(exits.pod(ctx, 0).Spec.NodeName))
		Expect(first.Reason).To(Equal("CRASHED"))
		Expect(first.Count).To(Equal(1))
		Expect(time.Unix(0, first.Timestamp)).To(BeTemporally("~", time.Now(), 30*time.Second))
		Expect(first.Status).To(HaveValue(BeZero()))
		Expect(first.Description).To(Equal("exited with status 0"))
		exits.awaitRunning(ctx)
		_, _ = ask(ctx, exits.pod(ctx, 0).Status.PodIP, "/exit?code=3")
		Eventually(told(exits)).Should(HaveLen(2))
		Expect(told(exits)()[1]).To(And(HaveField("Status", HaveValue(Equal(3))), HaveField("Description", "exited with status 3"), HaveField("Count", 2)))
		Eventually(exits.instance(0)).WithContext(ctx).Should(beCrashed(Equal("exited with status 3")))

		for a, description := range map[*app]string{
			hungry: "out of memory: limit 64M",
			ill:    "failed health check: GET /health on port 8080 was answered with status 503",
			deaf:   "failed health check: port 8080 refused the connection",
			late:   "failed health check: port 8080 refused the connection (not passed within 3s of the start)",
		} {
			Eventually(told(a)).Should(Not(BeEmpty()), a.Desire["app_name"])
			Expect(told(a)()[0].Description).To(Equal(description))
		}
		Expect(told(hungry)()[0].Status).To(HaveValue(Equal(137)))
		Eventually(late.instance(0)).WithContext(ctx).Should(beCrashed(HavePrefix("failed health check: port 8080 ")))

		stopped.awaitRunning(ctx)
		Expect(told(stopped)()).To(BeEmpty())
		for _, a := range []*app{exits, hungry, ill, deaf, late} {
			for n, c := range told(a)() {
				Expect(c.Count).To(Equal(n+1), "each once")
			}
		}
	}, SpecTimeout(3*time.Minute))
})
