//go:build node

package node_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

var _ = Describe("a task", Ordered, ContinueOnFailure, func() {
	// hasty gives its tasks little time.
	var place, hasty *taskInstallation
	BeforeAll(func(ctx SpecContext) {
		place = newTaskInstallation(ctx, "tasks", map[string]any{"pull_patience": "5s", "scheduling_patience": "5s"})
		hasty = newTaskInstallation(ctx, "hasty-tasks", map[string]any{"deadline": "5s"})
	}, NodeTimeout(time.Minute))

	It("tells Cloud Controller how it ended, once", func(ctx SpecContext) {
		const sleepy = "echo dreaming; exec sleep 1000"
		ends := []struct {
			name   string
			task   taskRequest
			failed bool
			reason string
		}{
			{"exit 0", buildpackTask("test -x sampleapp"), false, ""},
			{"exit 3", buildpackTask("exit 3"), true, "Exited with status 3"},
			{"out of memory", buildpackTask("dd if=/dev/zero of=/dev/null bs=512M count=1").variable("MEMORY_LIMIT", "64m"), true, "(out of memory: limit 64M)"},
			{"out of disk", buildpackTask("dd if=/dev/zero of=/home/vcap/tmp/spilled bs=1M count=200; exec sleep 1000").variable("VCAP_APPLICATION", `{"limits":{"disk":64}}`),
				true, "The task ran out of disk: limit 64M"},
			{"too late", buildpackTask(sleepy), true, "The task took longer than 5 s and was stopped"},
			{"exit 4 in an image", dockerTask(images.numbered, "/bin/sh", "-c", `test "$(id -u) $FROM_IMAGE" = "1001 yes" && exit 4`), true, "Exited with status 4"},
			{"no such image", dockerTask(images.registry+"/docker/nothing:1", "/bin/true"), true, "The task could not be started: the image "},
			{"no such command", dockerTask(images.numbered, "/no/such/command"), true, "/no/such/command"},
			{"no room", buildpackTask("true").variable("MEMORY_LIMIT", "1000000m"), true, "There was no room to run the task within 5 s (0/1 nodes are available: 1 Insufficient memory"},
		}
		tasks := []*startedTask{}
		for _, e := range ends {
			home := place
			if e.name == "too late" {
				home = hasty
			}
			tasks = append(tasks, home.begin(ctx, e.task))
		}
		for i, e := range ends {
			By(e.name)
			ended := tasks[i].ended(ctx)
			Expect(ended.Failed).To(Equal(e.failed), ended.FailureReason)
			Expect(ended.FailureReason).To(ContainSubstring(e.reason))
			AddReportEntry(e.name+": asked → told "+tasks[i].told().Sub(tasks[i].asked).Round(time.Millisecond).String(), ended.FailureReason, ReportEntryVisibilityAlways)
		}
		for _, t := range tasks {
			t.toldOnce()
		}
	}, SpecTimeout(3*time.Minute))

	It("is over when it is canceled, or somebody deletes its pod or its Job", func(ctx SpecContext) {
		const sleepy = "echo dreaming; exec sleep 1000"
		// It would end well if it were asked to end.
		const polite = "trap 'exit 0' TERM; echo dreaming; while true; do sleep 0.1; done"
		canceled, robbed, deleted := place.begin(ctx, buildpackTask(polite)), place.begin(ctx, buildpackTask(sleepy)), place.begin(ctx, buildpackTask(sleepy))
		all := []*startedTask{canceled, robbed, deleted}
		for _, t := range all {
			t.says(ctx, "dreaming")
		}
		gone := func(what string, t *startedTask, began time.Time, reason string) {
			GinkgoHelper()
			Expect(t.ended(ctx)).To(And(HaveField("Failed", true), HaveField("FailureReason", reason)))
			Eventually(t.runningPods).WithContext(ctx).Should(BeZero())
			AddReportEntry(what+" → callback, nothing runs", t.told().Sub(began).Round(time.Millisecond).String()+", "+time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		}

		began := time.Now()
		answer, err := place.Call(ctx, http.MethodDelete, "/tasks/"+canceled.guid, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusNoContent), answer.Message())
		gone("DELETE", canceled, began, "task was cancelled")

		began = time.Now()
		Expect(node.client.CoreV1().Pods(place.namespace).Delete(ctx, robbed.pod(ctx).Name, metav1.DeleteOptions{})).To(Succeed())
		Expect(robbed.ended(ctx)).To(And(HaveField("Failed", true), HaveField("FailureReason", HavePrefix("The task was interrupted: "))))
		gone("pod deleted", robbed, began, robbed.ended(ctx).FailureReason)

		began = time.Now()
		background := metav1.DeletePropagationBackground
		Expect(node.client.BatchV1().Jobs(place.namespace).Delete(ctx, "task-"+deleted.guid, metav1.DeleteOptions{PropagationPolicy: &background})).To(Succeed())
		gone("Job deleted", deleted, began, "The task was interrupted: somebody deleted its Job in Kubernetes")
		Eventually(func(ctx context.Context) bool {
			_, err := node.client.BatchV1().Jobs(place.namespace).Get(ctx, "task-"+deleted.guid, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}).WithContext(ctx).Should(BeTrue())
		for _, t := range all {
			t.toldOnce()
		}
	}, SpecTimeout(2*time.Minute))

	It("finds what its app finds", func(ctx SpecContext) {
		const secret = "s3cret/of the task"
		const vcap = `{"application_name":"same","limits":{"fds":16384,"mem":256,"disk":1024}}`
		a := place.run(ctx, newBuildpackApp("same").Droplet(images.droplet, dropletHash, "./sampleapp").
			Env("VCAP_APPLICATION", vcap).Env("SECRET", secret).Env("DOLLARS", dollars))
		var app map[string]string
		Expect(json.Unmarshal([]byte(a.get(ctx, 0, "/env")), &app)).To(Succeed())

		t := place.begin(ctx, buildpackTask(`printf ': %s\n' "$DOLLARS"; ulimit -n; env`).variable("VCAP_APPLICATION", vcap).variable("MEMORY_LIMIT", "256m").
			variable("VCAP_SERVICES", "{}").variable("SECRET", secret).variable("DOLLARS", dollars))
		Expect(t.ended(ctx)).To(HaveField("Failed", false))
		log := t.log(ctx)
		Expect(log).To(ContainSubstring(": " + dollars + "\n16384\n"))
		task := map[string]string{}
		for line := range strings.Lines(log) {
			if name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "="); found {
				task[name] = value
			}
		}
		pod := t.pod(ctx)
		Expect(task).To(And(
			HaveKeyWithValue("CF_INSTANCE_GUID", string(pod.UID)), HaveKeyWithValue("CF_INSTANCE_IP", pod.Status.PodIP), HaveKeyWithValue("POD_NAME", pod.Name),
			HaveKeyWithValue("VCAP_APPLICATION", strings.TrimSuffix(vcap, "}")+`,"instance_id":"`+string(pod.UID)+`","host":"0.0.0.0"}`),
		))
		// What is the shell's, an instance's own or a port's.
		for _, name := range []string{
			"_", "SHLVL", "OLDPWD", "START_COMMAND", "VCAP_APPLICATION", "POD_NAME", "HOSTNAME", "CF_INSTANCE_GUID", "INSTANCE_GUID", "CF_INSTANCE_INDEX", "INSTANCE_INDEX",
			"CF_INSTANCE_IP", "CF_INSTANCE_INTERNAL_IP", "CF_INSTANCE_PORT", "CF_INSTANCE_PORTS", "CF_INSTANCE_ADDR", "PORT", "VCAP_APP_PORT", "VCAP_APP_HOST",
		} {
			delete(app, name)
			delete(task, name)
		}
		Expect(task).To(Equal(app))
	}, SpecTimeout(2*time.Minute))

	It("is refused when its image runs as root", func(ctx SpecContext) {
		t := place.prepare(dockerTask(images.root, "/bin/true"))
		answer, err := place.Call(ctx, http.MethodPost, "/tasks/"+t.guid, t.request)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(string(answer.Body)).To(And(ContainSubstring("lifecycle.docker_lifecycle.image"), ContainSubstring("root")))
		Expect(place.cloudController.Received(standin.TaskCompleted, t.guid)).To(BeEmpty())
	}, SpecTimeout(time.Minute))
})
