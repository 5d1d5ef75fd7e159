package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// buildPod is an API server that has the pod of one build, or none.
type buildPod struct {
	mutex sync.Mutex
	pod   *corev1.Pod
	// logs are what a step's log has each time it is read; the last stays.
	logs map[string][]string
	// read is called after a log was read.
	read func(step string)
}

func (b *buildPod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	switch r.URL.Path {
	case "/api/v1/namespaces/cf-apps/pods":
		if r.URL.Query().Get("labelSelector") != "cloudfoundry.org/staging_guid=guid" {
			http.Error(w, "which pods?", http.StatusBadRequest)
			return
		}
		list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
		if b.pod != nil {
			list.Items = append(list.Items, *b.pod)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list)
	case "/api/v1/namespaces/cf-apps/pods/pod/log":
		step := r.URL.Query().Get("container")
		logs := b.logs[step]
		fmt.Fprint(w, logs[0])
		if len(logs) > 1 {
			b.logs[step] = logs[1:]
		}
		if b.read != nil {
			b.read(step)
		}
	default:
		http.NotFound(w, r)
	}
}

// set gives the pod these states, in the order of the steps.
func (b *buildPod) set(states ...corev1.ContainerState) {
	b.pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod"}}
	for i, state := range states {
		status := corev1.ContainerStatus{Name: buildSteps[i], State: state}
		if buildSteps[i] == "push" {
			b.pod.Status.ContainerStatuses = append(b.pod.Status.ContainerStatuses, status)
		} else {
			b.pod.Status.InitContainerStatuses = append(b.pod.Status.InitContainerStatuses, status)
		}
	}
}

var (
	runs  = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waits = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image\nat all"}}
)

func ends(status int32, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: status, Message: message}}
}

// followed is what is told of a build, without repeats of what is being waited for.
func followed(t *testing.T, b *buildPod) (told []string, err error) {
	t.Helper()
	server := httptest.NewServer(b)
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	tell := func(n buildNews) {
		line := n.step + "|" + n.line + n.waiting
		if n.took > 0 {
			line += n.took.String()
		}
		if len(told) == 0 || told[len(told)-1] != line {
			told = append(told, line)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = (&buildLog{client: client, guid: "guid", tell: tell}).follow(ctx)
	return told, err
}

func TestLogsOfAllStepsAreFollowed(t *testing.T) {
	g := NewWithT(t)
	b := &buildPod{logs: map[string][]string{"fetch": {"one\n", "one\ntwo\n"}, "build": {"three\n"}, "push": {"", "four"}}}
	b.set(runs)
	b.read = func(step string) {
		switch step {
		case "fetch": // its log broke off
			b.set(ends(0, `{"step":"fetch","seconds":1.5}`), ends(0, ""), runs)
		case "push":
			b.set(ends(0, ""), ends(0, ""), ends(0, "forged"))
		}
	}
	told, err := followed(t, b)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(told).To(Equal([]string{
		"|fetch is at work", "fetch|one", "|fetch is at work", "fetch|two", "fetch|1.5s",
		"|build is at work", "build|three", "|push is at work", "push|four",
	}))
}

func TestLogEndsWithTheStepThatFails(t *testing.T) {
	g := NewWithT(t)
	b := &buildPod{logs: map[string][]string{"fetch": {"one\n"}, "build": {"no such app\n"}}}
	b.set(ends(0, ""), ends(222, ""), waits)
	told, err := followed(t, b)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(told).To(Equal([]string{"|fetch is at work", "fetch|one", "|build is at work", "build|no such app"}))

	b.set(ends(0, ""), waits)
	b.pod.Status.Phase, b.pod.Status.Message = corev1.PodFailed, "evicted"
	_, err = followed(t, b)
	g.Expect(err).To(MatchError("the build's pod has failed: evicted"))
}

func TestLogEndsWithThePod(t *testing.T) {
	g := NewWithT(t)
	b := &buildPod{logs: map[string][]string{"fetch": {"one\n"}}}
	b.set(runs)
	b.read = func(string) { b.pod = nil }
	told, err := followed(t, b)
	g.Expect(err).To(MatchError(errPodGone))
	g.Expect(told).To(ContainElement("fetch|one"))
}

func TestWhatHoldsAStep(t *testing.T) {
	g := NewWithT(t)
	b := &buildPod{}
	b.set(waits)
	g.Expect(whatHolds(b.pod, "fetch")).To(Equal("fetch waits: ImagePullBackOff: no such image"))
	g.Expect(whatHolds(b.pod, "push")).To(HavePrefix("the node prepares push"))
	b.pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "Insufficient memory."}}
	g.Expect(whatHolds(b.pod, "fetch")).To(Equal("waiting for a node: Insufficient memory."))
}

func TestProgressAfterASilence(t *testing.T) {
	g := NewWithT(t)
	var out strings.Builder
	began := time.Now()
	p := progress{out: &out, began: began, heard: began}
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	p.remind(at(60))
	p.show(buildNews{waiting: "a node"}, at(1))
	p.remind(at(4))
	p.remind(at(6))
	p.remind(at(7))
	p.show(buildNews{step: "fetch", line: "Downloading"}, at(9))
	p.show(buildNews{step: "fetch", took: 1500 * time.Millisecond}, at(9))
	p.show(buildNews{waiting: "fetch"}, at(9))
	p.remind(at(13))
	p.remind(at(14))
	p.broken(context.Canceled)
	p.broken(errors.New("no connection"))
	g.Expect(out.String()).To(Equal("  ... 6 s: a node\n  fetch | Downloading\n  ... 14 s: fetch\n  (no more of the log: no connection)\n"))
	g.Expect(p.times).To(Equal([]string{"fetch 1.5 s"}))
}
