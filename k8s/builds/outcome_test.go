package builds

import (
	"encoding/json"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/fixtures/texts"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
	"github.com/irene-cf/irene/stager"
	"github.com/irene-cf/irene/stager/steps"
)

// callback is what Cloud Controller gets.
func callback(outcome *opi.Outcome) string {
	body, err := api.Encoder{}.EncodeOutcome(*outcome)
	if err != nil {
		return "not encoded: " + err.Error()
	}
	return string(body)
}

// expectKept checks that an outcome can be written on its Job, and that a text in it is fit
// for users.
func expectKept(g *WithT, outcome *opi.Outcome, wait, err any, from string) {
	g.Expect(err).NotTo(HaveOccurred(), from)
	g.Expect(outcome).NotTo(BeNil(), "%s: wait %v", from, wait)
	g.Expect(outcome.Validate()).To(Succeed(), from)
	var body struct {
		Error  *struct{ ID, Message string }
		Result json.RawMessage
	}
	g.Expect(json.Unmarshal([]byte(callback(outcome)), &body)).To(Succeed(), from)
	if body.Error != nil {
		g.Expect(body.Error.Message == opi.PlainText(body.Error.Message, opi.MaxMessageBytes)).To(BeTrue(), from)
		g.Expect(body.Error.ID).NotTo(BeEmpty(), from)
	} else {
		g.Expect(body.Result).NotTo(BeEmpty(), from)
	}
}

// An outcome that can't be kept is refused again and again, and the build never ends.
func TestEveryOutcomeOfADockerBuildCanBeKept(t *testing.T) {
	g := NewWithT(t)
	w, job := imageWorld(t)
	decide := func(text, what string) {
		outcome, wait, err := w.Decide(t.Context(), job, nil)
		expectKept(g, outcome, wait, err, fmt.Sprintf("%s of %d bytes %q…", what, len(text), text[:min(len(text), 10)]))
	}
	for _, text := range texts.Awkward() {
		for what, config := range map[string]stager.ImageConfig{
			"CMD":        {Command: []string{"run", text}},
			"entrypoint": {Entrypoint: []string{text}},
			"user":       {User: text},
			"folder":     {WorkingDirectory: text},
			"protocol":   {Ports: []string{"80/" + text}},
			"port":       {Ports: []string{text}},
		} {
			w.registries.config, w.registries.err = config, nil
			decide(text, what)
		}
		w.registries.err = fmt.Errorf("%w: %s", opi.ErrRefused, text)
		decide(text, "refusal")
	}
	w.registries.config, w.registries.err = stager.ImageConfig{}, nil
	for port := range 60_000 {
		w.registries.config.Ports = append(w.registries.config.Ports, fmt.Sprint(port+1))
	}
	decide("", "60,000 ports")
}

func TestImagesThatAreTooLargeForAnOutcome(t *testing.T) {
	g := NewWithT(t)
	w, job := imageWorld(t)
	w.registries.config.Command = []string{string(make([]byte, 129<<10))}
	outcome, _, err := w.Decide(t.Context(), job, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome.Reason).To(Equal("image"))
	g.Expect(callback(outcome)).To(MatchRegexp(`^{"error":{"id":"StagingError","message":"The image can't be used: its command, entrypoint and ports have \d+ KiB, and the limit is about 128 KiB"}}$`))
}

func TestEveryOutcomeOfABuildCanBeKept(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	decide := func(job *batchv1.Job, pod *corev1.Pod, text, what string) {
		outcome, wait, err := w.Decide(t.Context(), job, []*corev1.Pod{pod})
		expectKept(g, outcome, wait, err, fmt.Sprintf("%s of %d bytes %q…", what, len(text), text[:min(len(text), 10)]))
	}
	job := testJob(t)
	for _, text := range texts.Awkward() {
		result, err := json.Marshal(steps.Result{LifecycleType: "buildpack", ProcessTypes: map[string]string{"web": text}})
		g.Expect(err).NotTo(HaveOccurred())
		w.registries.results[testResult] = string(result)
		decide(job, pushedPod(t, job), text, "start command")
		decide(job, testPod(job, ended("build", 223, "Error", text)), text, "termination message")
		decide(job, testPod(job, ended("build", 223, "Error", told(t, "build", steps.CompileFailed, text))), text, "a step's message")
		decide(job, testPod(job, waiting("fetch", "InvalidImageName", text)), text, "a kubelet's message")
		decide(job, testPod(job, podFailed("Evicted", text)), text, "an eviction's message")
		decide(job, testPod(job, podFailed("OutOfcpu", text)), text, "a node's message")
	}
}
