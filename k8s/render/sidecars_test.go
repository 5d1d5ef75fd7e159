package render_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/sidecars"
)

// sidecarLRP is the app of a golden request as the BBS door has it with two sidecars and three
// ports, each of them checked.
func sidecarLRP(t *testing.T) opi.LRP {
	t.Helper()
	lrp := goldenRequest(t, "buildpack")
	lrp.Processes = append(lrp.Processes,
		opi.Process{Name: "logger", Command: []string{"./logger --to $HOME/log && true"}, User: "vcap", MemoryMiB: 64, Environment: map[string]string{
			"MEMORY_LIMIT": "64m", "VCAP_APPLICATION": `{"limits":{"mem":64},"name":"$(X)"}`, "TOKEN": "sidecar-hunter2", "HOME": "/elsewhere",
		}},
		opi.Process{Name: "agent two", Command: []string{"./agent"}})
	lrp.Ports = []int32{8080, 8081, 8082}
	check := func(port int32, interval time.Duration) opi.Check {
		return opi.Check{Kind: opi.CheckPort, Port: port, Interval: interval, Timeout: time.Second}
	}
	checks := func(interval time.Duration) []opi.Check {
		return []opi.Check{check(8080, interval), check(8081, interval), check(8082, interval)}
	}
	lrp.Checks = opi.NewChecks(time.Minute, checks(2*time.Second), checks(30*time.Second), nil)
	return lrp
}

func TestGoldenSidecars(t *testing.T) {
	g := NewWithT(t)
	lrp := sidecarLRP(t)
	g.Expect(lrp.Validate()).To(Succeed())
	secret, statefulSet, err := goldenSettings().LRP(lrp, assembled, "", testKey)
	g.Expect(err).NotTo(HaveOccurred())
	first, err := yaml.Marshal(secret)
	g.Expect(err).NotTo(HaveOccurred())
	second, err := yaml.Marshal(statefulSet)
	g.Expect(err).NotTo(HaveOccurred())
	rendered := string(first) + "---\n" + string(second)
	golden := filepath.Join("testdata", "sidecars.yaml")
	if *update {
		g.Expect(os.WriteFile(golden, []byte(rendered), 0o644)).To(Succeed())
	}
	want, err := os.ReadFile(golden)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rendered).To(Equal(string(want)))
	g.Expect(string(second)).NotTo(ContainSubstring("hunter2"))
}

// What launch reads in the container is what was desired, once kubelet has replaced references.
func TestSidecarsArriveAsTheyWereDesired(t *testing.T) {
	g := NewWithT(t)
	secret, set := objects(t, sidecarLRP(t))
	container := set.Spec.Template.Spec.Containers[0]
	arguments := container.Args
	for i := range arguments {
		arguments[i] = strings.ReplaceAll(arguments[i], "$$", "$")
	}
	members, rest, err := sidecars.Parse(arguments)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rest).To(BeEmpty())
	g.Expect(members).To(Equal(sidecars.Members{App: "APP/PROC/WEB", Sidecars: []sidecars.Sidecar{
		{Source: "APP/PROC/WEB/SIDECAR/LOGGER", Command: "./logger --to $HOME/log && true", Environment: map[string]string{
			"MEMORY_LIMIT": "IRENE_SIDECAR_1_MEMORY_LIMIT", "VCAP_APPLICATION": "IRENE_SIDECAR_1_VCAP_APPLICATION", "TOKEN": "IRENE_SIDECAR_1_TOKEN",
		}},
		{Source: "APP/PROC/WEB/SIDECAR/AGENT TWO", Command: "./agent"},
	}}))
	values := kubeletExpands(container.Env, nil)
	g.Expect(values).To(HaveKeyWithValue("IRENE_SIDECAR_1_VCAP_APPLICATION", `{"limits":{"mem":64},"name":"$(X)"}`))
	g.Expect(values).To(HaveKeyWithValue("IRENE_SIDECAR_1_MEMORY_LIMIT", "64m"))
	var token *corev1.EnvVarSource
	for _, variable := range container.Env {
		if variable.Name == "IRENE_SIDECAR_1_TOKEN" {
			token = variable.ValueFrom
		}
	}
	g.Expect(token).NotTo(BeNil())
	g.Expect(secret.Data[token.SecretKeyRef.Key]).To(BeEquivalentTo("sidecar-hunter2"))
	g.Expect(token.SecretKeyRef.Name).To(Equal(secret.Name))
}

func TestChecksOfSeveralPorts(t *testing.T) {
	g := NewWithT(t)
	lrp := sidecarLRP(t)
	_, set := objects(t, lrp)
	container := set.Spec.Template.Spec.Containers[0]
	command := []string{"/lifecycle/launch", "check", "1s", "8080", "8081", "8082"}
	g.Expect(container.StartupProbe.Exec.Command).To(Equal(command))
	g.Expect(container.StartupProbe.PeriodSeconds).To(BeEquivalentTo(2))
	g.Expect(container.LivenessProbe.Exec.Command).To(Equal(command))
	g.Expect(container.LivenessProbe.PeriodSeconds).To(BeEquivalentTo(30))
	g.Expect(container.LivenessProbe.TCPSocket).To(BeNil())
	g.Expect(container.ReadinessProbe).To(BeNil())
	g.Expect(render.LeavesOutChecks(lrp)).To(BeFalse())

	// A docker image lacks the program that checks several ports.
	image := docker(t, "org/app:1")
	image.Checks = lrp.Checks
	_, set = objects(t, image)
	g.Expect(set.Spec.Template.Spec.Containers[0].LivenessProbe.TCPSocket.Port.IntValue()).To(Equal(8080))
	g.Expect(render.LeavesOutChecks(image)).To(BeTrue())

	// The same port twice is one check, and a check of HTTP is made by kubelet.
	lrp.Checks.More = opi.MoreChecks{Liveness: []opi.Check{lrp.Checks.Liveness}, Startup: []opi.Check{{Kind: opi.CheckHTTP, Port: 8081, Path: "/"}}}
	_, set = objects(t, lrp)
	g.Expect(set.Spec.Template.Spec.Containers[0].LivenessProbe.TCPSocket).NotTo(BeNil())
	g.Expect(set.Spec.Template.Spec.Containers[0].StartupProbe.TCPSocket).NotTo(BeNil())
	g.Expect(render.LeavesOutChecks(lrp)).To(BeTrue())
}
