//go:build node

package node_test

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

// installation is an irene process and the namespace that its apps run in.
type installation struct {
	// Process is the present one; start replaces it.
	*ireneprocess.Process
	namespace string
	options   ireneprocess.Options
	// log takes what the process writes.
	log *os.File
}

// newInstallation runs irene until the spec (or suite) that called it ends. Checks
// of running apps are made every second, so that specs need not wait for them; all
// other settings are irene's own unless appSettings, laid over "apps", or more, by the
// names of top-level keys, say otherwise.
func newInstallation(ctx context.Context, namespace string, appSettings map[string]any, more ...map[string]any) *installation {
	node.namespace(ctx, namespace)
	log, err := os.Create(filepath.Join(node.folder, namespace+"-irene.log"))
	Expect(err).NotTo(HaveOccurred())
	apps := map[string]any{"probes": map[string]any{"liveness_period": "1s", "readiness_period": "1s"}}
	maps.Copy(apps, appSettings)
	settings := map[string]any{
		"apps": apps,
		"nats": map[string]any{"servers": []string{node.bus.URL()}},
	}
	for _, others := range more {
		maps.Copy(settings, others)
	}
	i := &installation{namespace: namespace, log: log, options: ireneprocess.Options{
		Binary:     filepath.Join(binaries, "irene"),
		Dir:        node.folder,
		Kubeconfig: node.Kubeconfig,
		Namespace:  namespace,
		Registry:   node.Registry,
		Settings:   settings,
		Log:        log,
	}}
	i.start(ctx)
	DeferCleanup(func() {
		Expect(i.Stop()).To(Succeed(), func() string { return tail(log.Name(), 20) })
		Expect(log.Close()).To(Succeed())
	})
	return i
}

// start runs irene and waits until it is ready. It may be called again after Kill.
func (i *installation) start(ctx context.Context) {
	process, err := ireneprocess.Start(ctx, i.options)
	Expect(err).NotTo(HaveOccurred(), func() string { return tail(i.log.Name(), 20) })
	i.Process = process
}

// push desires an LRP as Cloud Controller does, and stops it when the spec (or the
// container whose BeforeAll calls) ends. If the spec has failed it first shows how
// the LRP was doing.
func (i *installation) push(ctx context.Context, desire cloudcontroller.Desire) *app {
	a := &app{Desire: desire, home: i}
	DeferCleanup(func(ctx context.Context) {
		if CurrentSpecReport().Failed() {
			a.explain(ctx)
		}
		_, err := i.Process.Client.Stop(ctx, desire.GUID(), desire.Version())
		Expect(err).NotTo(HaveOccurred())
	})
	answer, err := i.Process.Client.Desire(ctx, desire)
	Expect(err).NotTo(HaveOccurred())
	Expect(answer.Status).To(Equal(http.StatusAccepted), answer.Message())
	return a
}

// run is push, and then waits until all instances are RUNNING.
func (i *installation) run(ctx context.Context, desire cloudcontroller.Desire) *app {
	a := i.push(ctx, desire)
	a.awaitRunning(ctx)
	return a
}
