package render_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

func objects(t *testing.T, lrp opi.LRP) (*corev1.Secret, *appsv1.StatefulSet) {
	t.Helper()
	secret, statefulSet, err := goldenSettings().LRP(lrp, render.ResolvedImage{}, "{}", testKey)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return secret, statefulSet
}

func docker(t *testing.T, reference string) opi.LRP {
	lrp := goldenLRP(t)
	lrp.Droplet = nil
	lrp.RootFS.Image = &opi.Image{Reference: reference}
	lrp.Processes = []opi.Process{{}}
	return lrp
}

func TestNamesArePodHostNames(t *testing.T) {
	label := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	for app, prefix := range map[string]string{
		"test-app":                "test-app-kubecf-",
		"My_App":                  "my-app-kubecf-",
		"my.app.example":          "my-app-example-kubecf-",
		"with spaces":             "with-spaces-kubecf-",
		"Ünïcode":                 "n-code-kubecf-",
		"日本語":                     "kubecf-",
		"-":                       "kubecf-",
		strings.Repeat("x", 200):  strings.Repeat("x", 40) + "-",
		strings.Repeat("a.", 100): strings.Repeat("a-", 20),
	} {
		t.Run(app, func(t *testing.T) {
			g := NewWithT(t)
			lrp := goldenLRP(t)
			lrp.App.Name = app
			_, statefulSet := objects(t, lrp)
			g.Expect(statefulSet.Name).To(HavePrefix(prefix))
			g.Expect(len(statefulSet.Name)).To(BeNumerically("<=", 52))
			g.Expect(label.MatchString(statefulSet.Name + "-99999")).To(BeTrue())
			g.Expect(statefulSet.Annotations[keys.ApplicationName]).To(Equal(app))
		})
	}
}

func TestNamesOfOnlyStrangeCharacters(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	lrp.App.Name, lrp.Space.Name = "日本語", "空間"
	_, statefulSet := objects(t, lrp)
	g.Expect(statefulSet.Name).To(HavePrefix("1c559be1-5534-4bc2-a11e-357a462edf7b-"))
}

func TestLabelsOfAnyProcessType(t *testing.T) {
	for processType, label := range map[string]string{
		"web": "web", "sidekiq worker!": "sidekiq-worker", "日本語": "", strings.Repeat("w", 100): strings.Repeat("w", 63),
	} {
		g := NewWithT(t)
		lrp := goldenLRP(t)
		lrp.ProcessType = processType
		_, statefulSet := objects(t, lrp)
		g.Expect(statefulSet.Labels[keys.ProcessType]).To(Equal(label))
		g.Expect(statefulSet.Annotations[keys.ProcessType]).To(Equal(processType))
	}
}

func TestSecretNameDependsOnContentAlone(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	lrp.Environment["KEY"] = "one"
	first, _ := objects(t, lrp)
	lrp.Annotation, lrp.Instances = "other", 7
	again, _ := objects(t, lrp)
	lrp.Environment["KEY"] = "two"
	other, _ := objects(t, lrp)
	g.Expect(again.Name).To(Equal(first.Name))
	g.Expect(other.Name).NotTo(Equal(first.Name))
}

func TestNothingSecretNeedsNoSecret(t *testing.T) {
	g := NewWithT(t)
	secret, statefulSet := objects(t, goldenLRP(t))
	g.Expect(secret).To(BeNil())
	g.Expect(statefulSet.Annotations).NotTo(HaveKey(keys.Secret))
}

func TestStatefulSetHoldsNoSecretValue(t *testing.T) {
	g := NewWithT(t)
	lrp := docker(t, "registry.example.com:5000/team/image")
	lrp.RootFS.Image.Credentials = &opi.RegistryCredentials{Username: "hidden-user", Password: "hidden-password"}
	lrp.Environment["VCAP_SERVICES"] = `{"db":"hidden-service"}`
	lrp.Environment["ANYTHING"] = "hidden-value"
	secret, statefulSet := objects(t, lrp)
	text, err := json.Marshal(statefulSet)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).NotTo(ContainSubstring("hidden"))
	g.Expect(string(secret.Data[corev1.DockerConfigJsonKey])).To(MatchJSON(
		`{"auths":{"registry.example.com:5000":{"username":"hidden-user","password":"hidden-password","auth":"aGlkZGVuLXVzZXI6aGlkZGVuLXBhc3N3b3Jk"}}}`))
	g.Expect(statefulSet.Spec.Template.Spec.ImagePullSecrets).To(ContainElement(corev1.LocalObjectReference{Name: secret.Name}))
}

func TestDockerHubCredentialsGoByItsHistoricalName(t *testing.T) {
	g := NewWithT(t)
	lrp := docker(t, "org/image")
	lrp.RootFS.Image.Credentials = &opi.RegistryCredentials{Username: "u", Password: "p"}
	secret, _ := objects(t, lrp)
	g.Expect(string(secret.Data[corev1.DockerConfigJsonKey])).To(ContainSubstring(`"https://index.docker.io/v1/"`))
}

// kubelet looks for a host without a dot there, if it is this one.
func TestCredentialsOfALocalRegistry(t *testing.T) {
	g := NewWithT(t)
	lrp := docker(t, "localhost/org/image")
	lrp.RootFS.Image.Credentials = &opi.RegistryCredentials{Username: "user", Password: "password"}
	secret, _ := objects(t, lrp)
	g.Expect(string(secret.Data[corev1.DockerConfigJsonKey])).To(HavePrefix(`{"auths":{"localhost":{`))
}

// Kubernetes refuses a mount path that is there twice, and a patch of such ports.
func TestPortsAndMountsAreRenderedOnce(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	lrp.Ports = []int32{8080, 9090, 8080}
	lrp.Volumes = []opi.Volume{{ID: "claim", Directory: "/data"}, {ID: "claim", Directory: "/data/"}, {ID: "claim", Directory: "/more"}}
	_, statefulSet := objects(t, lrp)
	container := statefulSet.Spec.Template.Spec.Containers[0]
	g.Expect(container.Ports).To(ConsistOf(HaveField("ContainerPort", int32(8080)), HaveField("ContainerPort", int32(9090))))
	g.Expect(container.VolumeMounts).To(ConsistOf(HaveField("MountPath", "/data"), HaveField("MountPath", "/more")))
	g.Expect(container.Env).To(ContainElement(corev1.EnvVar{Name: "CF_INSTANCE_PORTS", Value: `[{"external":8080,"internal":8080},{"external":9090,"internal":9090}]`}))
}

func TestDockerImagesKeepTheirOwnEnvironment(t *testing.T) {
	g := NewWithT(t)
	_, statefulSet := objects(t, docker(t, "org/image"))
	for _, variable := range statefulSet.Spec.Template.Spec.Containers[0].Env {
		g.Expect(variable.Name).NotTo(BeElementOf("PATH", "HOME", "USER", "TMPDIR", "LANG", "START_COMMAND"))
	}
}

// kubelet expands variables as Kubernetes documents it: $(NAME) refers to a variable that
// comes before, and $$ is one $.
func kubeletExpands(vars []corev1.EnvVar, fields map[string]string) map[string]string {
	values := map[string]string{}
	reference := regexp.MustCompile(`\$\$|\$\(([^)]+)\)`)
	for _, v := range vars {
		if v.ValueFrom != nil {
			if v.ValueFrom.FieldRef != nil {
				values[v.Name] = fields[v.ValueFrom.FieldRef.FieldPath]
			}
			continue
		}
		values[v.Name] = reference.ReplaceAllStringFunc(v.Value, func(found string) string {
			if found == "$$" {
				return "$"
			}
			if value, known := values[found[2:len(found)-1]]; known {
				return value
			}
			return found
		})
	}
	return values
}

// What launch adds for buildpack apps stands in the pod spec of docker apps.
func TestDockerAppsFindTheInstanceInVCAPApplication(t *testing.T) {
	fields := map[string]string{"metadata.uid": "6a3e", "metadata.labels['apps.kubernetes.io/pod-index']": "11", "status.podIP": "10.1.2.3"}
	for name, c := range map[string]struct{ sent, port, want string }{
		"all four":            {`{"a":1}`, "8080", `{"a":1,"instance_id":"6a3e","instance_index":11,"host":"0.0.0.0","port":8080}`},
		"a user's dollars":    {`{"name":"$(PORT) $$ $","n":1.50e+300}`, "8080", `{"name":"$(PORT) $$ $","n":1.50e+300,"instance_id":"6a3e","instance_index":11,"host":"0.0.0.0","port":8080}`},
		"no port":             {`{}`, "", `{"instance_id":"6a3e","instance_index":11,"host":"0.0.0.0"}`},
		"a port that is none": {`{}`, "$(POD_NAME)", `{"instance_id":"6a3e","instance_index":11,"host":"0.0.0.0"}`},
		"not an object":       {`["$(PORT)"]`, "8080", `["$(PORT)"]`},
		"not JSON":            {`$`, "8080", `$`},
	} {
		t.Run(name, func(t *testing.T) {
			lrp := docker(t, "org/image")
			lrp.Environment["VCAP_APPLICATION"], lrp.Environment["PORT"] = c.sent, c.port
			_, statefulSet := objects(t, lrp)
			values := kubeletExpands(statefulSet.Spec.Template.Spec.Containers[0].Env, fields)
			NewWithT(t).Expect(values).To(HaveKeyWithValue("VCAP_APPLICATION", c.want))
		})
	}
}

func TestVCAPApplicationOfDockerAppsStaysWithinWhatLinuxPasses(t *testing.T) {
	g := NewWithT(t)
	lrp := docker(t, "org/image")
	large := `{"a":"` + strings.Repeat("x", opi.MaxVariableBytes-len(`VCAP_APPLICATION={"a":""}`)) + `"}`
	lrp.Environment["VCAP_APPLICATION"] = large
	_, statefulSet := objects(t, lrp)
	g.Expect(kubeletExpands(statefulSet.Spec.Template.Spec.Containers[0].Env, nil)["VCAP_APPLICATION"] == large).To(BeTrue())
}

// launch adds to VCAP_APPLICATION what it knows; kubelet must not do so, too.
func TestVCAPApplicationOfBuildpackAppsIsAsItWasSent(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	_, statefulSet := objects(t, lrp)
	g.Expect(kubeletExpands(statefulSet.Spec.Template.Spec.Containers[0].Env, nil)["VCAP_APPLICATION"]).To(Equal(lrp.Environment["VCAP_APPLICATION"]))
}

func TestPullPolicies(t *testing.T) {
	g := NewWithT(t)
	digest := "org/image@sha256:" + strings.Repeat("a", 64)
	for reference, policy := range map[string]corev1.PullPolicy{"org/image": corev1.PullAlways, "org/image:v1": corev1.PullAlways, digest: corev1.PullIfNotPresent} {
		_, statefulSet := objects(t, docker(t, reference))
		g.Expect(statefulSet.Spec.Template.Spec.Containers[0].Image).To(Equal(reference))
		g.Expect(statefulSet.Spec.Template.Spec.Containers[0].ImagePullPolicy).To(Equal(policy))
	}
}

func TestDockerUsers(t *testing.T) {
	g := NewWithT(t)
	_, statefulSet, err := goldenSettings().LRP(docker(t, "org/image"), render.ResolvedImage{User: render.ImageUser{UID: ptr.To(int64(1000)), GID: ptr.To(int64(50))}}, "", testKey)
	g.Expect(err).NotTo(HaveOccurred())
	security := statefulSet.Spec.Template.Spec.SecurityContext
	g.Expect(*security.RunAsNonRoot).To(BeTrue())
	g.Expect(*security.RunAsUser).To(Equal(int64(1000)))
	g.Expect(*security.RunAsGroup).To(Equal(int64(50)))
	g.Expect(statefulSet.Spec.Template.Spec.HostUsers).To(BeNil())

	settings := goldenSettings()
	settings.UserNamespaces = true
	_, statefulSet, err = settings.LRP(docker(t, "org/image"), render.ResolvedImage{}, "", testKey)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*statefulSet.Spec.Template.Spec.HostUsers).To(BeFalse())
	g.Expect(statefulSet.Spec.Template.Spec.SecurityContext.RunAsNonRoot).To(BeNil())
}

func TestCPURequestDoesNotOverflow(t *testing.T) {
	g := NewWithT(t)
	for weight, cpu := range map[int64]string{1: "10m", 26: "260m", 30: "300m", 100: "1"} {
		lrp := goldenLRP(t)
		lrp.Limits.CPUWeight = weight
		_, statefulSet := objects(t, lrp)
		request := statefulSet.Spec.Template.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU]
		g.Expect(request.String()).To(Equal(cpu))
	}
}

// Annotations have a limit: what does not fit moves into the Secret, first the
// request, then the egress rules; the LRP stays whole.
func TestLargeAnnotationsMoveIntoTheSecret(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	_, statefulSet, err := goldenSettings().LRP(lrp, render.ResolvedImage{}, "short", testKey)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(statefulSet.Annotations[keys.OriginalRequest]).To(Equal("short"))

	secret, statefulSet, err := goldenSettings().LRP(lrp, render.ResolvedImage{}, strings.Repeat("request", 40<<10), testKey)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(statefulSet.Annotations).NotTo(HaveKey(keys.OriginalRequest))
	g.Expect(secret.Data).To(HaveKey("original-request.gz"))

	for i := range 5000 {
		lrp.EgressRules = append(lrp.EgressRules, opi.EgressRule{Protocol: "tcp", Destinations: []string{fmt.Sprintf("10.0.%d.%d/32", i/250, i%250)}, Ports: []int32{443}})
	}
	secret, statefulSet, err = goldenSettings().LRP(lrp, render.ResolvedImage{}, "short", testKey)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(secret.Data).To(HaveKey("egress-rules.gz"))
	g.Expect(statefulSet.Annotations[keys.LRP]).To(ContainSubstring(`"egressRulesInSecret":true`))
	total := 0
	for key, value := range statefulSet.Annotations {
		total += len(key) + len(value)
	}
	g.Expect(total).To(BeNumerically("<=", 200<<10))
}

func TestPlacementTagIsTheIsolationSegment(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	_, statefulSet := objects(t, lrp)
	g.Expect(statefulSet.Annotations).NotTo(HaveKey(keys.IsolationSegment))
	lrp.PlacementTags = []string{"my segment", "another"}
	_, statefulSet = objects(t, lrp)
	g.Expect(statefulSet.Annotations).To(HaveKeyWithValue(keys.IsolationSegment, "my segment"))
	g.Expect(statefulSet.Spec.Template.Annotations).NotTo(HaveKey(keys.IsolationSegment))
}

func TestWhatIsNotSupportedIsRefused(t *testing.T) {
	for name, change := range map[string]func(*opi.LRP){
		"processes[1].command": func(l *opi.LRP) { l.Processes = append(l.Processes, opi.Process{Name: "sidecar"}) },
		"processes[1].user": func(l *opi.LRP) {
			l.Processes = append(l.Processes, opi.Process{Name: "sidecar", Command: []string{"x"}, User: "root"})
		},
		"processes: sidecars are supported for apps from droplets only": func(l *opi.LRP) {
			l.Droplet, l.RootFS = nil, opi.RootFS{Image: &opi.Image{Reference: "org/app"}}
			l.Processes = append(l.Processes, opi.Process{Name: "sidecar", Command: []string{"x"}})
		},
		"environment.IRENE_SIDECAR_1_A": func(l *opi.LRP) {
			l.Environment["IRENE_SIDECAR_1_A"] = "x"
			l.Processes = append(l.Processes, opi.Process{Name: "sidecar", Command: []string{"x"}})
		},
		"processes[1].environment.A": func(l *opi.LRP) {
			l.Processes = append(l.Processes, opi.Process{Name: "sidecar", Command: []string{"x"}, Environment: map[string]string{"A": strings.Repeat("x", opi.MaxVariableBytes-5)}})
		},
		"processes[1].command: is too long": func(l *opi.LRP) {
			l.Processes = append(l.Processes, opi.Process{Name: "sidecar", Command: []string{strings.Repeat("x", opi.MaxVariableBytes-5)}})
		},
		"volumes":           func(l *opi.LRP) { l.Volumes = []opi.Volume{{ID: "v", Driver: "nfs", Directory: "/data"}} },
		"processes[0].user": func(l *opi.LRP) { l.Processes[0].User = "root" },
		"userAnnotation":    func(l *opi.LRP) { l.UserAnnotations = map[string]string{"a": strings.Repeat("x", 300<<10)} },
	} {
		t.Run(name, func(t *testing.T) {
			lrp := goldenLRP(t)
			change(&lrp)
			_, _, err := goldenSettings().LRP(lrp, render.ResolvedImage{}, "", testKey)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(name)))
		})
	}
}

// A droplet without a guid has its app's guid for the name of its image.
func TestImagesOfDropletsWithoutGUID(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	lrp.Droplet.GUID = ""
	_, statefulSet := objects(t, lrp)
	g.Expect(statefulSet.Spec.Template.Spec.Containers[0].Image).To(ContainSubstring("/" + lrp.App.GUID + ":" + lrp.Droplet.Checksum.Value))
}

func TestHeadersOfChecks(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	check := opi.Check{Kind: opi.CheckHTTP, Port: 8080, Path: "/", Headers: map[string]string{"X-Forwarded-Proto": "https", "User-Agent": "check"}}
	lrp.Checks = opi.NewChecks(0, []opi.Check{check}, []opi.Check{check}, nil)
	_, statefulSet := objects(t, lrp)
	container := statefulSet.Spec.Template.Spec.Containers[0]
	for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe} {
		g.Expect(probe.HTTPGet.HTTPHeaders).To(Equal([]corev1.HTTPHeader{{Name: "User-Agent", Value: "check"}, {Name: "X-Forwarded-Proto", Value: "https"}}))
	}
	g.Expect(container.ReadinessProbe).To(BeNil())
}
