package builds

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

// shelf has the images of builds, and those of some buildpacks.
type shelf struct{ buildpacks map[string]string }

func (shelf) Ensure(context.Context, string) (stager.PodImages, error) { return testImages(), nil }

func (s shelf) Find(context.Context, []opi.Buildpack) map[string]string { return s.buildpacks }

func TestStageMountsTheBuildpacksThatThereAre(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	image := "127.0.0.1:32123/cloudfoundry/buildpacks@sha256:" + strings.Repeat("cd", 32)
	images := shelf{map[string]string{testBuild().Source.Buildpacks[0].Checksum.Value: image}}
	w.options.Images, w.options.Buildpacks = images, images
	g.Expect(w.Stage(context.Background(), testBuild())).To(Succeed())
	job, err := w.client.BatchV1().Jobs(w.options.Settings.Namespace).Get(context.Background(), job.Name(namePrefix, testGUID), metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(job.Spec.Template.Spec.Volumes).To(ContainElement(HaveField("VolumeSource.Image", HaveField("Reference", image))))
	g.Expect(testutil.ToFloat64(w.metrics.buildpacks.WithLabelValues(fromImage))).To(Equal(1.0))
	g.Expect(testutil.ToFloat64(w.metrics.buildpacks.WithLabelValues(fromDownload))).To(Equal(1.0))

	g.Expect(w.Stage(context.Background(), testBuild())).To(Succeed())
	g.Expect(testutil.ToFloat64(w.metrics.buildpacks.WithLabelValues(fromImage))).To(Equal(1.0), "a repeat counts for nothing")
}

func TestStageGivesUpOnASilentAPIServer(t *testing.T) {
	g := NewWithT(t)
	server := steptest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	g.Expect(err).NotTo(HaveOccurred())
	s, err := New(Options{
		Dependencies: job.Dependencies{Client: client, Logger: lager.NewLogger("test"), Registerer: prometheus.NewRegistry()},
		Settings:     testSettings(), RequestPatience: 100 * time.Millisecond, Images: shelf{},
	})
	g.Expect(err).NotTo(HaveOccurred())
	err = s.Stage(context.Background(), testBuild())
	g.Expect(err).To(MatchError(opi.ErrUnavailable))
	g.Expect(err).To(MatchError(ContainSubstring("not done within 100ms")))
}
