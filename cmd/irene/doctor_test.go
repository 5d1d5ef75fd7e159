package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/opi"
)

func TestCertificatesAreJudgedByDateUseAndKey(t *testing.T) {
	g := NewWithT(t)
	folder := newCertificateFolder(t)
	ours := newAuthority(t, "ours")
	folder.write(ours, ours)
	files := folder.files("cloud_controller")
	end := ours.certificate.NotAfter
	look := func(now time.Time) finding {
		return examination{now: now}.certificate("key", files.CertificateFile, files.KeyFile, 2)
	}
	verdict := func(verdict, found string) types.GomegaMatcher {
		return And(HaveField("Verdict", verdict), HaveField("Found", ContainSubstring(found)))
	}
	g.Expect(look(end.Add(-expiryNotice - time.Hour))).To(verdict(verdictFailed, "is good from"))
	g.Expect(look(end.Add(-30 * time.Minute))).To(verdict(verdictWarning, `"irene", EC P-256: ends on `))
	g.Expect(look(end)).To(verdict(verdictFailed, "expired on"))

	g.Expect(examination{now: time.Now()}.authorities("key", files.ClientCAFile)).To(verdict(verdictWarning, `"ours"`))
	nothing := filepath.Join(t.TempDir(), "nothing")
	g.Expect(os.WriteFile(nothing, []byte("nothing"), 0o600)).To(Succeed())
	g.Expect(examination{}.authorities("key", nothing)).To(verdict(verdictFailed, "no certificate in PEM form"))
	g.Expect(examination{}.certificate("key", nothing, files.KeyFile, 2)).To(verdict(verdictFailed, "failed to find any PEM data"))
	g.Expect(examination{}.certificate("key", "/nowhere", files.KeyFile, 2)).To(verdict(verdictFailed, "/nowhere"))
}

func TestCallersOfBothDoorsAreJudged(t *testing.T) {
	g := NewWithT(t)
	folder := newCertificateFolder(t)
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	folder.write(ours, ours)
	shown := func(signer *authority, name string) string {
		file := filepath.Join(t.TempDir(), "caller.crt")
		certificate, _ := signer.sign(name)
		g.Expect(os.WriteFile(file, certificate, 0o600)).To(Succeed())
		return file
	}
	e := examination{now: time.Now(), config: DefaultConfiguration()}
	e.config.Listen.TLS = folder.files("cloud_controller")
	e.config.BBS.Listen.TLS = folder.files("cloud-controller", "other")
	last := func(found []finding) finding { return found[len(found)-1] }
	opiDoor := func(file string) finding {
		e.callerCertificate = file
		return last(examineListener(t.Context(), e))
	}
	bbsDoor := func(file string) finding {
		e.bbsCallerCertificate = file
		return last(examineBBSListener(t.Context(), e))
	}
	g.Expect(bbsDoor("")).To(And(HaveField("Verdict", verdictUnknown), HaveField("Mend", ContainSubstring("--bbs-caller-certificate"))))
	g.Expect(bbsDoor(shown(ours, "cloud-controller"))).To(And(HaveField("Verdict", verdictWarning), HaveField("Found", ContainSubstring("ends on"))), "good, but not for long")
	g.Expect(bbsDoor(shown(ours, "cloud_controller"))).To(And(HaveField("Verdict", verdictFailed), HaveField("Found", ContainSubstring("bbs.listen.tls.client_names"))))
	g.Expect(bbsDoor(shown(theirs, "other"))).To(And(HaveField("Verdict", verdictFailed), HaveField("Mend", ContainSubstring("bbs.listen.tls.client_ca_file"))))
	g.Expect(opiDoor("")).To(HaveField("Mend", ContainSubstring("--caller-certificate")))
	g.Expect(opiDoor(shown(ours, "cloud_controller"))).To(And(HaveField("Verdict", verdictFailed), HaveField("Found", ContainSubstring("reads it as RSA"))), "the certificate's key is EC")
}

func TestEveryFailureSaysHowToMendIt(t *testing.T) {
	g := NewWithT(t)
	var e examination
	e.config = DefaultConfiguration()
	e.config.Listen.TLS = TLS{CertificateFile: "/nowhere/c", KeyFile: "/nowhere/k", ClientCAFile: "/nowhere/a"}
	e.config.Registry.Address = "127.0.0.1:1"
	e.config.Staging.ProgramFile, e.config.Staging.CertificateFile, e.config.Staging.KeyFile = "/nowhere/p", "/nowhere/c", "/nowhere/k"
	e.config.CloudController.URL = "https://127.0.0.1:1"
	e.config.CloudController.CAFile = "/nowhere/a"
	e.config.Droplets.Source.CloudController = "https://127.0.0.1:1"
	e.cloudController, e.callerCertificate = []string{"https://127.0.0.1:1", "nonsense"}, "/nowhere/caller"
	var found []finding
	for _, look := range []area{examineListener, examineStaging, examineCloudController, examineDropletSource, examineNATS} {
		found = append(found, look(t.Context(), e)...)
	}
	_, wrong := countVerdicts(found)
	g.Expect(wrong).To(Equal(7))
	for _, f := range found {
		if f.Verdict == verdictFailed || f.Verdict == verdictWarning {
			g.Expect(f.Mend).NotTo(BeEmpty(), f.Check)
		}
	}
}

func TestPullSecretsAreReadAsKubeletDoes(t *testing.T) {
	const address = "127.0.0.1:32123"
	basic := base64.StdEncoding.EncodeToString([]byte("user:pass:word"))
	for name, example := range map[string]struct {
		kind    corev1.SecretType
		content string
		want    types.GomegaMatcher
		err     string
	}{
		"user and password": {corev1.SecretTypeDockerConfigJson, `{"auths":{"127.0.0.1:32123":{"username":"user","password":"pass:word"}}}`, HaveValue(Equal(opi.RegistryCredentials{Username: "user", Password: "pass:word"})), ""},
		"both in one":       {corev1.SecretTypeDockerConfigJson, fmt.Sprintf(`{"auths":{"https://127.0.0.1:32123":{"auth":%q}}}`, basic), HaveValue(Equal(opi.RegistryCredentials{Username: "user", Password: "pass:word"})), ""},
		"another registry":  {corev1.SecretTypeDockerConfigJson, `{"auths":{"docker.io":{"username":"user","password":"secret"}}}`, BeNil(), "has no credentials for " + address},
		"no JSON":           {corev1.SecretTypeDockerConfigJson, `secret`, BeNil(), "can't be read"},
		"another type":      {corev1.SecretTypeOpaque, `{}`, BeNil(), "its type is Opaque"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			held, err := credentialsIn(&corev1.Secret{Type: example.kind, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(example.content)}}, address)
			g.Expect(held).To(example.want)
			if example.err == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(And(ContainSubstring(example.err), Not(ContainSubstring("secret")))))
		})
	}
}

func TestNodesSayWhetherTheyHaveUserNamespaces(t *testing.T) {
	g := NewWithT(t)
	node := func(handlers ...corev1.NodeRuntimeHandler) corev1.Node {
		return corev1.Node{Status: corev1.NodeStatus{RuntimeHandlers: handlers}}
	}
	with := &corev1.NodeRuntimeHandlerFeatures{UserNamespaces: ptr.To(true)}
	g.Expect(hasUserNamespaces(node())).To(BeFalse())
	g.Expect(hasUserNamespaces(node(corev1.NodeRuntimeHandler{Name: "kata", Features: with}, corev1.NodeRuntimeHandler{}))).To(BeFalse())
	g.Expect(hasUserNamespaces(node(corev1.NodeRuntimeHandler{Features: with}))).To(BeTrue())
}

func TestNodesMountImagesFromSomeVersionsOn(t *testing.T) {
	g := NewWithT(t)
	node := func(kubelet, runtime string) (n corev1.Node) {
		n.Status.NodeInfo.KubeletVersion, n.Status.NodeInfo.ContainerRuntimeVersion = kubelet, runtime
		return n
	}
	for _, good := range []corev1.Node{node("v1.35.0", "containerd://2.1.0"), node("v1.37.2-eks-1", "containerd://2.2.1"), node("v1.36.0", "cri-o://1.31.4")} {
		g.Expect(mountsImages(good)).To(BeTrue(), good.Status.NodeInfo.String())
	}
	for _, bad := range []corev1.Node{node("v1.34.5", "containerd://2.1.0"), node("v1.37.2", "containerd://2.0.9"), node("v1.37.2", "cri-o://1.30.0"),
		node("v1.37.2", "docker://28.0.0"), node("fake", ""), node("v1.37.2", "containerd://unknown")} {
		g.Expect(mountsImages(bad)).To(BeFalse(), bad.Status.NodeInfo.String())
	}
}

func TestTestedKubernetesIsWhatTestsRun(t *testing.T) {
	g := NewWithT(t)
	modules, err := os.ReadFile("../../fixtures/cluster/go.mod")
	g.Expect(err).NotTo(HaveOccurred())
	version := regexp.MustCompile(`(?m)^\s*k8s.io/kubernetes v(\d+\.\d+)\.`).FindSubmatch(modules)
	g.Expect(version).NotTo(BeNil())
	g.Expect(testedKubernetes).To(ContainElement(string(version[1])))
}
