//go:build controlplane

package controlplane_test

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/k8s/control"
)

var _ = Describe("The pull secret", func() {
	const name, label = "droplets", "irene.cloudfoundry.org/pull-secret"
	var (
		namespace string
		options   control.PullSecretOptions
		clock     *testingclock.FakeClock
		log       *controlplane.ProcessLog
	)
	BeforeEach(func(ctx context.Context) {
		made, err := api.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "cf-apps-"}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		namespace, clock, log = made.Name, testingclock.NewFakeClock(time.Now()), &controlplane.ProcessLog{}
		logger := lager.NewLogger("test")
		logger.RegisterSink(lager.NewWriterSink(log, lager.DEBUG))
		dir := GinkgoT().TempDir()
		options = control.PullSecretOptions{
			Secrets: api.CoreV1(), Namespace: namespace, Name: name, PullAddress: "registry.example.com:5000",
			UsernameFile: filepath.Join(dir, "username"), PasswordFile: filepath.Join(dir, "password"),
			Clock: clock, Logger: logger,
		}
		Expect(os.WriteFile(options.UsernameFile, []byte("irene\n"), 0o600)).To(Succeed())
		Expect(os.WriteFile(options.PasswordFile, []byte("first-secret\n"), 0o600)).To(Succeed())
	})
	keep := func() {
		GinkgoHelper()
		kept, err := control.NewPullSecret(options)
		Expect(err).NotTo(HaveOccurred())
		alongside(kept.Run)
	}
	secret := func(ctx context.Context) (*corev1.Secret, error) {
		return api.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	// holds waits, at the controller's pace, until the Secret has these credentials.
	holds := func(ctx context.Context, config string) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			clock.Step(10 * time.Second)
			held, err := secret(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(held.Type).To(Equal(corev1.SecretTypeDockerConfigJson))
			g.Expect(held.Labels).To(HaveKeyWithValue(label, "true"))
			g.Expect(held.Data).To(HaveLen(1))
			g.Expect(held.Data[corev1.DockerConfigJsonKey]).To(MatchJSON(config))
		}).Should(Succeed())
	}
	patch := func(ctx context.Context, text string) {
		GinkgoHelper()
		_, err := api.CoreV1().Secrets(namespace).Patch(ctx, name, types.MergePatchType, []byte(text), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
	const first = `{"auths":{"registry.example.com:5000":{"username":"irene","password":"first-secret","auth":"aXJlbmU6Zmlyc3Qtc2VjcmV0"}}}`
	const second = `{"auths":{"registry.example.com:5000":{"username":"irene","password":"second-secret","auth":"aXJlbmU6c2Vjb25kLXNlY3JldA=="}}}`

	It("is made, follows the files, and is healed", func(ctx context.Context) {
		keep()
		holds(ctx, first)
		By("leaving it alone while it is right")
		before, err := secret(ctx)
		Expect(err).NotTo(HaveOccurred())
		patch(ctx, `{"metadata":{"annotations":{"somebody":"else"}}}`)
		By("following the files, also when they are away for a moment")
		Expect(os.Remove(options.PasswordFile)).To(Succeed())
		Eventually(func() string { clock.Step(10 * time.Second); return log.String() }).Should(ContainSubstring("no such file"))
		holds(ctx, first)
		Expect(os.WriteFile(options.PasswordFile, []byte("second-secret"), 0o600)).To(Succeed())
		holds(ctx, second)
		after, err := secret(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(after.UID).To(Equal(before.UID))
		Expect(after.Annotations).To(HaveKeyWithValue("somebody", "else"))
		By("putting back what was edited")
		patch(ctx, `{"data":{".dockerconfigjson":"e30="}}`)
		holds(ctx, second)
		By("putting back what was deleted")
		Expect(api.CoreV1().Secrets(namespace).Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
		holds(ctx, second)
		By("replacing what can't be changed")
		patch(ctx, `{"data":{".dockerconfigjson":"e30="},"immutable":true}`)
		holds(ctx, second)
		Expect(log.String()).To(ContainSubstring("pull-secret.updated"))
		for _, value := range []string{"first-secret", "second-secret", "aXJlbmU6"} {
			Expect(log.String()).NotTo(ContainSubstring(value))
		}
	}, patience)

	It("is never somebody else's Secret", func(ctx context.Context) {
		_, err := api.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte("{}")}, Immutable: ptr.To(false),
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		keep()
		Eventually(log.String).Should(ContainSubstring("not marked as Irene's"))
		size := len(log.String())
		for range 5 {
			clock.Step(10 * time.Second)
		}
		Consistently(func() int { return len(log.String()) }).Should(Equal(size), "said once")
		held, err := secret(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(held.Data[corev1.DockerConfigJsonKey]).To(BeEquivalentTo("{}"))
		By("giving it to Irene")
		patch(ctx, `{"metadata":{"labels":{"`+label+`":"true"}}}`)
		holds(ctx, first)
		Expect(log.String()).To(ContainSubstring("in-step-again"))
	}, patience)

	It("shows mistakes at the start", func() {
		options.UsernameFile = filepath.Join(GinkgoT().TempDir(), "missing")
		_, err := control.NewPullSecret(options)
		Expect(err).To(MatchError(SatisfyAll(ContainSubstring("user name"), ContainSubstring("no such file"))))
	})
})
