package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/stager/steps"
)

// buildSteps are the containers of a build's pod, in the order in which they run.
var buildSteps = []string{"fetch", "build", "push"}

// endPatience is how long after the end of its log a step may take to have ended.
const endPatience = 3 * time.Second

// maxLogLine bounds a line of a log, in bytes.
const maxLogLine = 1 << 20

// buildNews is something to be told of a build: a line of a step's log, how long a step
// took by its own account, or what is being waited for.
type buildNews struct {
	step, line string
	took       time.Duration
	waiting    string
}

// errPodGone ends a log: pods of builds go once the outcome is known.
var errPodGone = errors.New("the build's pod is gone")

// buildLog follows the log of one build's pod.
type buildLog struct {
	client kubernetes.Interface
	guid   string
	tell   func(buildNews)
	// seen is whether there was a pod.
	seen bool
}

// follow tells what the steps write, one step after the other, until the last has ended,
// one has failed, or ctx ends.
func (l *buildLog) follow(ctx context.Context) error {
	for _, step := range buildSteps {
		ended, err := l.followStep(ctx, step)
		if err != nil {
			return err
		}
		if outcome, err := steps.ParseOutcome(step, []byte(ended.Message)); err == nil && outcome.Seconds > 0 {
			l.tell(buildNews{step: step, took: time.Duration(outcome.Seconds * float64(time.Second))})
		}
		if ended.ExitCode != 0 {
			return nil
		}
	}
	return nil
}

// followStep tells what a step writes until it has ended. A log is complete when it was
// read after that; what had been read before is not told again.
func (l *buildLog) followStep(ctx context.Context, step string) (*corev1.ContainerStateTerminated, error) {
	shown := 0
	for {
		state, pod, err := l.awaitStep(ctx, step)
		if err != nil {
			return nil, err
		}
		err = l.copy(ctx, pod, step, &shown)
		if state.Terminated != nil || ctx.Err() != nil {
			return state.Terminated, err
		}
		// Kubernetes says a moment later than the log that a step has ended; one that
		// goes on has a log that broke off.
		limit, cancel := context.WithTimeout(ctx, endPatience)
		err = poll(limit, func() (bool, error) {
			pod, err := l.pod(limit)
			if err != nil {
				return false, ignoreEnd(limit, err)
			}
			return pod == nil || stepState(pod, step).Terminated != nil, nil
		})
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
	}
}

// pod is the build's, nil when there is none.
func (l *buildLog) pod(ctx context.Context) (*corev1.Pod, error) {
	pods, err := l.client.CoreV1().Pods(appsNamespace).List(ctx, metav1.ListOptions{LabelSelector: keys.StagingGUID + "=" + l.guid})
	if err != nil {
		return nil, fmt.Errorf("look for the build's pod: %w", err)
	}
	if len(pods.Items) == 0 {
		return nil, nil
	}
	l.seen = true
	return &pods.Items[0], nil
}

// awaitStep waits until a step has started.
func (l *buildLog) awaitStep(ctx context.Context, step string) (state corev1.ContainerState, podName string, err error) {
	err = poll(ctx, func() (bool, error) {
		pod, err := l.pod(ctx)
		if err != nil {
			return false, ignoreEnd(ctx, err)
		}
		if pod == nil && l.seen {
			return false, errPodGone
		}
		if pod == nil {
			l.tell(buildNews{waiting: "waiting for Kubernetes to make the build's pod"})
			return false, nil
		}
		podName, state = pod.Name, stepState(pod, step)
		switch {
		case state.Running != nil, state.Terminated != nil:
			l.tell(buildNews{waiting: step + " is at work"})
			return true, nil
		case pod.Status.Phase == corev1.PodFailed:
			return false, errors.New("the build's pod has failed: " + pod.Status.Message)
		}
		l.tell(buildNews{waiting: whatHolds(pod, step)})
		return false, nil
	})
	return state, podName, err
}

// copy tells the lines of a step's log from the first that was not shown until it ends.
func (l *buildLog) copy(ctx context.Context, pod, step string, shown *int) error {
	stream, err := l.client.CoreV1().Pods(appsNamespace).GetLogs(pod, &corev1.PodLogOptions{Container: step, Follow: true}).Stream(ctx)
	if apierrors.IsBadRequest(err) {
		return nil // it has not started for kubelet yet
	}
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", step, err)
	}
	defer stream.Close()
	if err := l.copyLines(stream, step, shown); err != nil {
		return fmt.Errorf("read the log of %s: %w", step, err)
	}
	return nil
}

func (l *buildLog) copyLines(log io.Reader, step string, shown *int) error {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLogLine)
	for number := 0; lines.Scan(); number++ {
		if number < *shown {
			continue
		}
		*shown++
		l.tell(buildNews{step: step, line: lines.Text()})
	}
	return lines.Err()
}

// stepState is that of a container of a build's pod; empty when it isn't known yet.
func stepState(pod *corev1.Pod, step string) corev1.ContainerState {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, status := range statuses {
			if status.Name == step {
				return status.State
			}
		}
	}
	return corev1.ContainerState{}
}

// whatHolds says why a step has not started.
func whatHolds(pod *corev1.Pod, step string) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return "waiting for a node: " + condition.Message
		}
	}
	waiting := stepState(pod, step).Waiting
	if waiting == nil || waiting.Message == "" {
		return "the node prepares " + step + ", and pulls its image if it lacks it"
	}
	return fmt.Sprintf("%s waits: %s: %s", step, waiting.Reason, firstLine(waiting.Message))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
