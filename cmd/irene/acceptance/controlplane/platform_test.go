//go:build controlplane

package controlplane_test

import (
	"bytes"
	"context"
	"maps"
	"path/filepath"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

// platform is a namespace for apps and what is needed to run irene on it.
type platform struct {
	namespace  string
	kubeconfig string
	settings   map[string]any
	dir        string
	// log has what all processes of the platform wrote.
	log *processLog
}

// newPlatform makes a namespace that enforces restricted Pod Security. The settings
// are laid over irene's configuration.
func newPlatform(ctx context.Context, kubeconfig string, settings map[string]any) *platform {
	GinkgoHelper()
	namespace, err := api.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "cf-apps-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	// Pods are admitted once their service account exists.
	Eventually(func() error {
		_, err := api.CoreV1().ServiceAccounts(namespace.Name).Get(ctx, "default", metav1.GetOptions{})
		return err
	}).Should(Succeed())
	admitAccount(ctx, namespace.Name)
	p := &platform{
		namespace:  namespace.Name,
		kubeconfig: kubeconfig,
		settings: map[string]any{
			// Short enough for a killed leader to be followed within a spec.
			"leader_election": map[string]any{"lease_duration": "4s", "renew_deadline": "3s", "retry_period": "500ms"},
			// Test nodes belong to segments, so that other specs' apps stay off them.
			"apps": map[string]any{"placement": map[string]any{"shared": "unlabelled"}},
		},
		dir: GinkgoT().TempDir(),
		log: &processLog{},
	}
	maps.Copy(p.settings, settings)
	DeferCleanup(func() {
		if CurrentSpecReport().Failed() {
			AddReportEntry("irene's log in "+p.namespace, p.log.tail(32<<10))
		}
		p.expectNoDenials()
	})
	return p
}

// alone is a platform for one irene that needs no election.
func alone(ctx context.Context, kubeconfig string) *platform {
	GinkgoHelper()
	return newPlatform(ctx, kubeconfig, map[string]any{"leader_election": map[string]any{"enabled": false}})
}

// direct is the kubeconfig without a gateway.
func direct() string { return common.kubeconfig }

// start runs an irene and waits until it is ready; it ends with the spec.
func (p *platform) start(ctx context.Context) *ireneprocess.Process {
	GinkgoHelper()
	process := p.launch()
	Expect(process.AwaitReady(ctx)).To(Succeed(), "log:\n%s", p.log)
	return process
}

// beside runs an irene that reaches the API server by another way, without waiting.
func (p *platform) beside(kubeconfig string) *ireneprocess.Process {
	GinkgoHelper()
	other := *p
	other.kubeconfig = kubeconfig
	return other.launch()
}

// launch runs an irene without waiting.
func (p *platform) launch() *ireneprocess.Process {
	GinkgoHelper()
	folder, err := filepath.Abs(binaries)
	Expect(err).NotTo(HaveOccurred())
	process, err := ireneprocess.Launch(ireneprocess.Options{
		Binary:     filepath.Join(folder, "irene"),
		Dir:        p.dir,
		Kubeconfig: asIrene(p.kubeconfig),
		Namespace:  p.namespace,
		Settings:   p.settings,
		Log:        p.log,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(process.Kill)
	return process
}

// processLog keeps the output of child processes.
type processLog struct {
	mutex   sync.Mutex
	content bytes.Buffer
}

// Write implements io.Writer.
func (l *processLog) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.content.Write(p)
}

// String is all that was written.
func (l *processLog) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.content.String()
}

func (l *processLog) tail(limit int) string {
	text := l.String()
	return text[max(0, len(text)-limit):]
}
