//go:build node

package node_test

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/k8s/control"
)

var _ = Describe("the Secret with which nodes pull", func() {
	It("comes back when somebody deletes it, and follows the password", func(ctx SpecContext) {
		place := newAssembling(ctx, "pull-secret")
		secrets := node.client.CoreV1().Secrets(place.namespace)
		password := func(ctx context.Context) (string, error) {
			secret, err := secrets.Get(ctx, imageworks.PullSecret, metav1.GetOptions{})
			if err != nil {
				return "", err
			}
			var content struct {
				Auths map[string]struct{ Username, Password string }
			}
			err = json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &content)
			return content.Auths[place.works.PullAddress()].Password, err
		}
		original := place.works.Reader.Password
		Eventually(password).WithContext(ctx).Should(Equal(original))

		By("being deleted")
		Expect(secrets.Delete(ctx, imageworks.PullSecret, metav1.DeleteOptions{})).To(Succeed())
		deleted := time.Now()
		Eventually(password).WithContext(ctx).Should(Equal(original))
		took := time.Since(deleted)
		AddReportEntry("Secret deleted → back", took.Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(took).To(BeNumerically("<", control.DefaultPullSecretInterval+2*time.Second))

		By("the password being another, first to the registry alone")
		Expect(place.works.Reader.Grant("rotated")).To(Succeed())
		Eventually(place.works.Admits).WithContext(ctx).WithArguments(place.works.Reader).Should(BeFalse())
		refused := place.push(ctx, newApp("refused", place.newDroplet()))
		Eventually(refused.instance(0)).WithContext(ctx).Should(beCrashed(Equal("the platform can't fetch the app's image at present (401 Unauthorized); it tries again")))
		Expect(place.works.Reader.Tell("rotated")).To(Succeed())
		changed := time.Now()
		Eventually(password).WithContext(ctx).Should(Equal("rotated"))
		took = time.Since(changed)
		AddReportEntry("password changed → in the Secret", took.Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(took).To(BeNumerically("<", control.DefaultPullSecretInterval+2*time.Second))
		place.run(ctx, newApp("rotated", place.newDroplet()))
		refused.awaitRunning(ctx)
	}, SpecTimeout(2*time.Minute))
})
