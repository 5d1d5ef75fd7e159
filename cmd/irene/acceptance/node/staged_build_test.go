//go:build node

package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/stager/steps"
)

// stagingSteps are the containers of a build's pod, in their order.
var stagingSteps = []string{steps.FetchStep, steps.BuildStep, steps.PushStep}

// stagedBuild is one that was asked for.
type stagedBuild struct {
	standin.Build
	home *stagingInstallation
	// request is what was sent when asked by OPI.
	request map[string]any
	asked   time.Time
}

// stage asks for a build on the only stack by OPI, as Cloud Controller does. When the spec has
// failed, it shows how the build was doing.
func (s *stagingInstallation) stage(ctx context.Context, wanted standin.Build) *stagedBuild {
	GinkgoHelper()
	return s.stageBy(ctx, opiDoor, wanted)
}

// stageBy is stage by a door of the caller's choice.
func (s *stagingInstallation) stageBy(ctx context.Context, door string, wanted standin.Build) *stagedBuild {
	GinkgoHelper()
	wanted.Stack = imageworks.StackName
	b := &stagedBuild{home: s, asked: time.Now()}
	body, err := b.prepare(door, wanted)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx context.Context) {
		if CurrentSpecReport().Failed() {
			b.explain(ctx)
		}
	})
	Expect(s.door(door).Stage(ctx, b.GUID, body)).To(Succeed())
	return b
}

// prepare makes Cloud Controller wait for the build, and returns what the door is asked with.
func (b *stagedBuild) prepare(door string, wanted standin.Build) (body []byte, err error) {
	if door == opiDoor {
		if b.Build, b.request, err = b.home.cloudController.NewBuild(wanted); err != nil {
			return nil, err
		}
		return json.Marshal(b.request)
	}
	made, definition, err := b.home.cloudController.NewStagingTask(wanted)
	if err != nil {
		return nil, err
	}
	b.Build = made
	return definition.Marshal()
}

// ended waits until Cloud Controller knows of the end.
func (b *stagedBuild) ended(ctx context.Context) standin.Build {
	GinkgoHelper()
	ended, err := b.home.cloudController.WaitForBuild(ctx, b.GUID)
	Expect(err).NotTo(HaveOccurred())
	return ended
}

// staged is ended with success.
func (b *stagedBuild) staged(ctx context.Context) standin.Build {
	GinkgoHelper()
	ended := b.ended(ctx)
	Expect(ended.State).To(Equal(standin.Staged), "%s: %s", ended.ErrorID, ended.ErrorMessage)
	return ended
}

func (b *stagedBuild) job(ctx context.Context) (*batchv1.Job, error) {
	return node.client.BatchV1().Jobs(b.home.namespace).Get(ctx, "stage-"+b.GUID, metav1.GetOptions{})
}

func (b *stagedBuild) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := node.client.CoreV1().Pods(b.home.namespace).List(ctx, metav1.ListOptions{LabelSelector: "cloudfoundry.org/staging_guid=" + b.GUID})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// pod is the build's only one.
func (b *stagedBuild) pod(ctx context.Context) corev1.Pod {
	GinkgoHelper()
	pods, err := b.pods(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(pods).To(HaveLen(1))
	return pods[0]
}

// statuses are the steps' that have a container, by name.
func (b *stagedBuild) statuses(ctx context.Context) map[string]corev1.ContainerState {
	GinkgoHelper()
	pod := b.pod(ctx)
	states := map[string]corev1.ContainerState{}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.ContainerID != "" {
			states[status.Name] = status.State
		}
	}
	return states
}

// log is what kubectl shows of a step.
func (b *stagedBuild) log(ctx context.Context, step string) string {
	GinkgoHelper()
	printed, err := node.kubectl(ctx, "logs", "--namespace", b.home.namespace, b.pod(ctx).Name, "--container", step)
	Expect(err).NotTo(HaveOccurred())
	return printed
}

// says waits until the build step's log has a text.
func (b *stagedBuild) says(ctx context.Context, text string) {
	GinkgoHelper()
	Eventually(func(ctx context.Context) (string, error) {
		return node.kubectl(ctx, "logs", "--namespace", b.home.namespace, "job/stage-"+b.GUID, "--container", steps.BuildStep)
	}).WithContext(ctx).WithPolling(300 * time.Millisecond).Should(ContainSubstring(text))
}

// logs are those of all steps that have begun, in order.
func (b *stagedBuild) logs(ctx context.Context) string {
	GinkgoHelper()
	var all strings.Builder
	statuses := b.statuses(ctx)
	for _, step := range stagingSteps {
		if _, began := statuses[step]; began {
			all.WriteString(b.log(ctx, step))
		}
	}
	return all.String()
}

// told is when Cloud Controller heard of the end first.
func (b *stagedBuild) told() time.Time {
	GinkgoHelper()
	received := b.home.cloudController.Received(standin.BuildCompleted, b.GUID)
	Expect(received).NotTo(BeEmpty())
	return received[0].At
}

// toldOnce wants Cloud Controller to have heard once.
func (b *stagedBuild) toldOnce() {
	GinkgoHelper()
	Expect(b.home.cloudController.Received(standin.BuildCompleted, b.GUID)).To(HaveLen(1))
}

// failed is ended with this error.
func (b *stagedBuild) failed(ctx context.Context, id string, message types.GomegaMatcher) standin.Build {
	GinkgoHelper()
	ended := b.ended(ctx)
	Expect(ended.State).To(Equal(standin.Failed))
	Expect(ended.ErrorMessage).To(message)
	Expect(ended.ErrorID).To(Equal(id))
	return ended
}

// timings says how long everything took: the steps as they say themselves, and what
// Kubernetes needed around them.
func (b *stagedBuild) timings(ctx context.Context) string {
	GinkgoHelper()
	text := fmt.Sprintf("asked → callback %s", b.told().Sub(b.asked).Round(time.Millisecond))
	statuses := b.statuses(ctx)
	for _, step := range stagingSteps {
		ended := statuses[step].Terminated
		if ended == nil {
			continue
		}
		outcome, err := steps.ParseOutcome(step, []byte(ended.Message))
		Expect(err).NotTo(HaveOccurred())
		text += fmt.Sprintf("\n%-6s %.2f s", step, outcome.Seconds)
		for _, phase := range outcome.Phases {
			text += fmt.Sprintf("; %s %.2f s", phase.Name, phase.Seconds)
			if phase.Bytes > 0 {
				text += fmt.Sprintf(", %d kB", phase.Bytes/1000)
			}
		}
	}
	return text
}

// explain shows what a person would look at when the build is not as it should be.
func (b *stagedBuild) explain(ctx context.Context) {
	namespace, selector := b.home.namespace, "cloudfoundry.org/staging_guid="+b.GUID
	for _, arguments := range [][]string{
		{"describe", "jobs", "--namespace", namespace, "--selector", selector},
		{"describe", "pods", "--namespace", namespace, "--selector", selector},
		{"logs", "--namespace", namespace, "--selector", selector, "--all-containers", "--prefix", "--tail", "50"},
	} {
		printed, err := node.kubectl(ctx, arguments...)
		if err != nil {
			printed += err.Error()
		}
		AddReportEntry("kubectl "+strings.Join(arguments, " "), printed)
	}
	AddReportEntry("irene's log", tail(b.home.log.Name(), 40))
}
