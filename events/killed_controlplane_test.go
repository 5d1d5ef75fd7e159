//go:build controlplane

package events

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// processFile names a file that makes this test's program a process to be killed.
const processFile = "IRENE_TEST_EVENTS_PROCESS"

// process is what it is told.
type process struct {
	Host      string
	TLS       rest.TLSClientConfig
	Token     string
	Namespace string
	Workers   int
}

// TestProcess is no test: it reports until it is killed.
func TestProcess(t *testing.T) {
	path := os.Getenv(processFile)
	if path == "" {
		t.Skip("this is for another test")
	}
	g := NewWithT(t)
	text, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	var p process
	g.Expect(json.Unmarshal(text, &p)).To(Succeed())
	logger, metrics := lager.NewLogger("process"), prometheus.NewRegistry()
	client, err := NewCloudController(ClientOptions{Logger: logger, Registerer: metrics})
	g.Expect(err).NotTo(HaveOccurred())
	jobs, err := NewJobs(Options{
		Kubernetes: kubernetes.NewForConfigOrDie(&rest.Config{Host: p.Host, TLSClientConfig: p.TLS, BearerToken: p.Token, QPS: -1}),
		Namespace:  p.Namespace, Kinds: map[string]Decider{keys.SourceTypeStaging: &whim{}}, CloudController: client, Workers: p.Workers,
		Doors:  Doors{opi.DoorOPI: api.Encoder{}},
		Logger: logger, Registerer: metrics,
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(jobs.Run(t.Context())).To(Succeed())
}

// killedAgainAndAgain kills a process, with SIGKILL, at random instants.
func killedAgainAndAgain(w *world) {
	const workers = 2
	text, err := json.Marshal(process{Host: w.config.Host, TLS: w.config.TLSClientConfig, Token: w.config.BearerToken, Namespace: w.namespace, Workers: workers})
	w.g.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(w.t.TempDir(), "process.json")
	w.g.Expect(os.WriteFile(path, text, 0o600)).To(Succeed())

	// Cloud Controller knows at once, and answers later: the worst moment for a kill.
	w.cc.Fail(standin.Fault{AfterWork: true, Delay: 50 * time.Millisecond})
	for range 20 {
		w.build(ended("detect"))
	}
	kills := 0
	for ; !w.allAnswered(); kills++ {
		w.g.Expect(kills).To(BeNumerically("<", 200))
		told := len(w.cc.Received(standin.BuildCompleted, ""))
		command := exec.Command(os.Args[0], "-test.run=^TestProcess$")
		command.Env = append(os.Environ(), processFile+"="+path)
		w.g.Expect(command.Start()).To(Succeed())
		if kills%3 != 0 { // the others die while they start
			w.g.Eventually(func() bool { return len(w.cc.Received(standin.BuildCompleted, "")) > told || w.allAnswered() }).Should(BeTrue())
		}
		pass(w.ctx, rand.N(150*time.Millisecond))
		w.g.Expect(command.Process.Kill()).To(Succeed())
		w.g.Expect(command.Wait()).To(MatchError("signal: killed"))
	}
	duplicates, most := w.heard()
	w.t.Logf("killed %d times: %d duplicates, at most %d of one build", kills, duplicates, most)
	w.g.Expect(duplicates).To(BeNumerically("<=", kills*workers))
}
