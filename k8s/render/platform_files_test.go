package render_test

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

func TestFilesAreMountedFromTheSecret(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	lrp.Files = []opi.File{{Path: "vcap_services", Content: []byte("hidden")}, {Path: "db/host", Content: []byte("hidden")}}
	secret, set := objects(t, lrp)
	spec := set.Spec.Template.Spec
	g.Expect(spec.Volumes).To(HaveLen(1))
	g.Expect(spec.Volumes[0].Secret.SecretName).To(Equal(secret.Name))
	g.Expect(spec.Volumes[0].Secret.Items).To(Equal([]corev1.KeyToPath{{Key: "file.0", Path: "vcap_services"}, {Key: "file.1", Path: "db/host"}}))
	g.Expect(spec.Containers[0].VolumeMounts).To(Equal([]corev1.VolumeMount{{Name: "platform-files", MountPath: "/etc/cf-service-bindings", ReadOnly: true}}))
	g.Expect(secret.Data).To(HaveKeyWithValue("file.1", []byte("hidden")))
	g.Expect(json.Marshal(set)).NotTo(ContainSubstring("hidden"))
}

func TestTrustedCertificates(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	lrp.TrustedCertificatesPath = "/etc/cf-system-certificates"
	_, set := objects(t, lrp)
	g.Expect(set.Spec.Template.Spec.Volumes).To(BeEmpty(), "the operator has none")

	settings := goldenSettings()
	settings.TrustedCertificates = "authorities"
	_, set, err := settings.LRP(lrp, render.ResolvedImage{}, "", testKey)
	g.Expect(err).NotTo(HaveOccurred())
	spec := set.Spec.Template.Spec
	g.Expect(spec.Volumes).To(HaveLen(1))
	g.Expect(spec.Volumes[0].ConfigMap.Name).To(Equal("authorities"))
	g.Expect(spec.Containers[0].VolumeMounts).To(Equal([]corev1.VolumeMount{{Name: "trusted-certificates", MountPath: "/etc/cf-system-certificates", ReadOnly: true}}))
	g.Expect(spec.Containers[0].Env).To(ContainElement(corev1.EnvVar{Name: "CF_SYSTEM_CERT_PATH", Value: "/etc/cf-system-certificates"}))
}

func TestUsersOfProcesses(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	lrp.Processes[0].User = "vcap"
	_, set := objects(t, lrp)
	g.Expect(*set.Spec.Template.Spec.SecurityContext.RunAsUser).To(BeEquivalentTo(2000))
	lrp.Processes[0].User = "root"
	_, _, err := goldenSettings().LRP(lrp, render.ResolvedImage{}, "", testKey)
	g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveField("Field", "processes[0].user")))

	docker := opi.LRP{LRPIdentifier: lrp.LRPIdentifier, RootFS: opi.RootFS{Image: &opi.Image{Reference: "org/app"}}}
	for user, uid := range map[string]*int64{"": nil, "nginx": nil, "1234": new(int64(1234))} {
		docker.Processes = []opi.Process{{User: user}}
		_, set, err := goldenSettings().LRP(docker, render.ResolvedImage{}, "", testKey)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(set.Spec.Template.Spec.SecurityContext.RunAsUser).To(Equal(uid), user)
	}
}

// The environment of the process itself wins.
func TestEnvironmentOfTheProcess(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	lrp.Environment = map[string]string{"LANG": "C", "PORT": "8080"}
	lrp.Processes[0].Environment = map[string]string{"LANG": "de_DE.UTF-8"}
	_, set := objects(t, lrp)
	g.Expect(set.Spec.Template.Spec.Containers[0].Env).To(ContainElements(
		corev1.EnvVar{Name: "LANG", Value: "de_DE.UTF-8"}, corev1.EnvVar{Name: "PORT", Value: "8080"}))
}
