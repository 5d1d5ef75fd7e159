package control_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/irene-cf/irene/k8s/control"
)

// What fails in a controller is named in the log and in the metrics.
func TestAFailedStepIsNamed(t *testing.T) {
	g := NewWithT(t)
	client, logger, registry := fake.NewClientset(), lagertest.NewTestLogger("test"), prometheus.NewRegistry()
	client.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no answer")
	})
	file := filepath.Join(t.TempDir(), "value")
	g.Expect(os.WriteFile(file, []byte("irene\n"), 0o600)).To(Succeed())
	kept, err := control.NewPullSecret(control.PullSecretOptions{
		Secrets: client.CoreV1(), Namespace: "cf-apps", Name: "droplets", PullAddress: "registry.example.com",
		UsernameFile: file, PasswordFile: file, Interval: time.Hour, Logger: logger, Registerer: registry,
	})
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- kept.Run(ctx) }()
	g.Eventually(logger).Should(gbytes.Say(`pull-secret.not-in-step.*"error":"compare: look at Secret droplets: `))
	g.Expect(testutil.GatherAndCompare(registry, strings.NewReader(`
		# HELP irene_reconcile_step_failures_total Steps of controllers that failed and are tried again.
		# TYPE irene_reconcile_step_failures_total counter
		irene_reconcile_step_failures_total{controller="pull-secret",step="compare"} 1
	`))).To(Succeed())
	cancel()
	g.Expect(<-ended).To(Succeed())
}
