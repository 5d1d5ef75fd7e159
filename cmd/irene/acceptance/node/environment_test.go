//go:build node

package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// dollars is text that shells, kubelet and templates like to change.
const dollars = `$$ $(PORT) $PORT ${HOME} $$$(X) \$ 100%`

var _ = Describe("what a running buildpack app finds", Ordered, ContinueOnFailure, func() {
	const secret = "s3cret/between the two of us"
	var (
		a       *app
		large   = strings.Repeat("0123456789abcdef", 120<<10/16)
		vcap    = `{"application_name":"environment","limits":{"fds":16384,"mem":256,"disk":1024},"large":12345678901234567890,"text":"` + strings.ReplaceAll(dollars, `\`, `\\`) + `"}`
		podIP   string
		podName string
		podUID  string
	)

	BeforeAll(func(ctx SpecContext) {
		a = cloud.run(ctx, newBuildpackApp("environment").
			Droplet(images.droplet, dropletHash, `FILES=$(ulimit -n) exec ./sampleapp '`+dollars+`' "$PORT"`).
			Env("VCAP_APPLICATION", vcap).
			Env("VCAP_SERVICES", `{"db":[{"credentials":{"password":"`+secret+`"}}]}`).
			Env("DOLLARS", dollars).
			Env("SECRET", secret).
			Env("LARGE", large))
		pod := a.pod(ctx, 0)
		podIP, podName, podUID = pod.Status.PodIP, pod.Name, string(pod.UID)
	}, NodeTimeout(2*time.Minute))

	It("answers on its pod's address, as itself", func(ctx SpecContext) {
		Expect(a.get(ctx, 0, "/")).To(Equal(fmt.Sprintf("Hello from environment, instance 0 (%s)\n", podUID)))
	})

	It("runs as vcap, without any privilege", func(ctx SpecContext) {
		status := a.exec(ctx, 0, "sh", "-c", "cat /proc/$(pidof sampleapp)/status")
		for _, line := range []string{
			"Uid:\t2000\t2000\t2000\t2000", "Gid:\t2000\t2000\t2000\t2000",
			"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000",
			"NoNewPrivs:\t1", "Seccomp:\t2",
		} {
			Expect(status).To(ContainSubstring(line + "\n"))
		}
		Expect(a.exec(ctx, 0, "cat", "/proc/1/comm")).To(Equal("launch\n"))
	})

	It("has a first process that leaves no dead ones behind", func(ctx SpecContext) {
		a.exec(ctx, 0, "sh", "-c", "sh -c 'sleep 0.2 & true'")
		Eventually(func(ctx context.Context) string {
			return a.exec(ctx, 0, "sh", "-c", "ps -o comm,stat | grep -e '^sleep' -e ' Z' || echo none")
		}).WithContext(ctx).Should(Equal("none\n"))
	})

	It("may open as many files as Cloud Controller says", func(ctx SpecContext) {
		Expect(a.variable(ctx, "FILES")).To(Equal("16384"))
	})

	It("finds the variables that Cloud Foundry promises", func(ctx SpecContext) {
		var environment map[string]string
		Expect(json.Unmarshal([]byte(a.get(ctx, 0, "/env")), &environment)).To(Succeed())
		for name, value := range map[string]string{
			"HOME": "/home/vcap/app", "PWD": "/home/vcap/app", "TMPDIR": "/home/vcap/tmp", "DEPS_DIR": "/home/vcap/deps",
			"USER": "vcap", "LANG": "en_US.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin",
			"PORT": "8080", "VCAP_APP_PORT": "8080", "VCAP_APP_HOST": "0.0.0.0", "MEMORY_LIMIT": "256m",
			"CF_INSTANCE_INDEX": "0", "INSTANCE_INDEX": "0",
			"CF_INSTANCE_GUID": podUID, "INSTANCE_GUID": podUID,
			"CF_INSTANCE_IP": podIP, "CF_INSTANCE_INTERNAL_IP": podIP,
			"CF_INSTANCE_PORT": "8080", "CF_INSTANCE_ADDR": podIP + ":8080",
			"CF_INSTANCE_PORTS": `[{"external":8080,"internal":8080}]`,
			"POD_NAME":          podName,
		} {
			Expect(environment).To(HaveKeyWithValue(name, value))
		}
	})

	It("finds the instance's values in VCAP_APPLICATION, and the rest as it was sent", func(ctx SpecContext) {
		Expect(a.variable(ctx, "VCAP_APPLICATION")).To(Equal(strings.TrimSuffix(vcap, "}") +
			`,"instance_id":"` + podUID + `","instance_index":0,"host":"0.0.0.0","port":8080}`))
	})

	It("gets its secrets, which no pod and no StatefulSet shows", func(ctx SpecContext) {
		Expect(a.variable(ctx, "SECRET")).To(Equal(secret))
		Expect(a.variable(ctx, "VCAP_SERVICES")).To(ContainSubstring(secret))

		sets, err := node.client.AppsV1().StatefulSets(cloud.namespace).List(ctx, a.selector())
		Expect(err).NotTo(HaveOccurred())
		pods, err := node.client.CoreV1().Pods(cloud.namespace).List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		shown, err := json.Marshal([]any{sets, pods})
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Contains(string(shown), secret)).To(BeFalse(), "the secret is shown")
	})

	It("gets every $ as it was sent, in variables and in the start command", func(ctx SpecContext) {
		Expect(a.variable(ctx, "DOLLARS")).To(Equal(dollars))
		Expect(a.arguments(ctx)).To(Equal([]string{"./sampleapp", dollars, "8080"}))
		var application struct{ Text string }
		Expect(json.Unmarshal([]byte(a.variable(ctx, "VCAP_APPLICATION")), &application)).To(Succeed())
		Expect(application.Text).To(Equal(dollars))
	})

	It("gets a variable of 120 KiB", func(ctx SpecContext) {
		value := a.variable(ctx, "LARGE")
		Expect(value).To(HaveLen(len(large)))
		Expect(value == large).To(BeTrue(), "the value is another")
	})

	It("has sourced the profile scripts in their order", func(ctx SpecContext) {
		Expect(a.variable(ctx, "PROFILES")).To(Equal("buildpack, app's folder, app's profile"))
	})
})
