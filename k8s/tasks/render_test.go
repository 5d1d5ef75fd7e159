package tasks

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/fixtures/jobtest"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

var update = flag.Bool("update", false, "write golden files anew")

func TestRenderedTasks(t *testing.T) {
	limited := testSettings()
	limited.Limits.Deadline = time.Hour
	for name, c := range map[string]struct {
		settings Settings
		task     opi.Task
		image    render.ResolvedImage
	}{
		"buildpack": {testSettings(), testTask(), assembled()},
		"docker":    {limited, testImageTask(), render.ResolvedImage{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			objects, err := c.settings.Render(c.task, c.image)
			g.Expect(err).NotTo(HaveOccurred())
			again, err := c.settings.Render(c.task, c.image)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(again).To(Equal(objects))

			text := "---\n" + jobtest.YAML(t, objects)
			path := filepath.Join("testdata", name+".yaml")
			if *update {
				g.Expect(os.WriteFile(path, []byte(text), 0o644)).To(Succeed())
			}
			want, err := os.ReadFile(path)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(text).To(Equal(string(want)), "go test ./k8s/tasks -update writes it anew")

			job, err := json.Marshal(objects.Job)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(job)).NotTo(ContainSubstring("hunter2"))
		})
	}
}

// A task sees what its app sees, apart from what only an instance has.
func TestEnvironmentIsThatOfTheApp(t *testing.T) {
	g := NewWithT(t)
	task := testTask()
	objects, err := testSettings().Render(task, assembled())
	g.Expect(err).NotTo(HaveOccurred())
	secret, statefulSet, err := testSettings().Translation.LRP(opi.LRP{
		LRPIdentifier: opi.LRPIdentifier{GUID: "process", Version: "1"}, App: task.App, Space: task.Space, Organization: task.Organization,
		Droplet: task.Droplet, Processes: []opi.Process{task.Process}, Environment: task.Environment, Limits: task.Limits,
	}, assembled(), "", render.DigestKey("key"))
	g.Expect(err).NotTo(HaveOccurred())

	ours, theirs := objects.Job.Spec.Template.Spec, statefulSet.Spec.Template.Spec
	instance := values(theirs.Containers[0].Env, secret.Data)
	for _, name := range []string{"CF_INSTANCE_INDEX", "INSTANCE_INDEX"} {
		g.Expect(instance).To(HaveKey(name))
		delete(instance, name)
	}
	g.Expect(values(ours.Containers[0].Env, objects.Secrets[0].Data)).To(Equal(instance))
	g.Expect(ours.Containers[0].Command).To(Equal(theirs.Containers[0].Command))
	g.Expect(ours.Containers[0].Image).To(Equal(theirs.Containers[0].Image))
	g.Expect(ours.Containers[0].Resources).To(Equal(theirs.Containers[0].Resources))
	g.Expect(ours.Containers[0].SecurityContext).To(Equal(theirs.Containers[0].SecurityContext))
	g.Expect(ours.SecurityContext).To(Equal(theirs.SecurityContext))
	g.Expect(ours.Affinity).To(Equal(theirs.Affinity))
}

// values are variables with what they refer to.
func values(variables []corev1.EnvVar, secret map[string][]byte) map[string]string {
	found := map[string]string{}
	for _, variable := range variables {
		switch {
		case variable.ValueFrom == nil:
			found[variable.Name] = variable.Value
		case variable.ValueFrom.FieldRef != nil:
			found[variable.Name] = "field " + variable.ValueFrom.FieldRef.FieldPath
		default:
			found[variable.Name] = "secret " + string(secret[variable.ValueFrom.SecretKeyRef.Key])
		}
	}
	return found
}

func TestRenderRefusals(t *testing.T) {
	for want, change := range map[string]func(*opi.Task){
		"processes[0].user: \"root\" is not possible": func(task *opi.Task) { task.Process.User = "root" },
		"environment: all secret values have": func(task *opi.Task) {
			for _, name := range []string{"A", "B", "C"} {
				task.Environment[name] = strings.Repeat("x", corev1.MaxSecretSize/2)
			}
		},
	} {
		t.Run(want, func(t *testing.T) {
			g := NewWithT(t)
			task := testTask()
			change(&task)
			_, err := testSettings().Render(task, assembled())
			g.Expect(err).To(MatchError(ContainSubstring(want)))
		})
	}
}

// What Irene does not act on is kept where people and later releases find it.
func TestWhatIsKeptOfATask(t *testing.T) {
	g := NewWithT(t)
	plain, err := testSettings().Render(bbsTask(), assembled())
	g.Expect(err).NotTo(HaveOccurred())
	task := keptTask()
	kept, err := testSettings().Render(task, assembled())
	g.Expect(err).NotTo(HaveOccurred())

	const tags = `{"app_name":"the app"}`
	annotations, podAnnotations := kept.Job.Annotations, kept.Job.Spec.Template.Annotations
	g.Expect(annotations).To(HaveKeyWithValue(keys.MetricTags, tags))
	g.Expect(podAnnotations).To(HaveKeyWithValue(keys.MetricTags, tags))
	g.Expect(podAnnotations).NotTo(HaveKey(keys.WorkRecord))
	g.Expect(annotations[keys.WorkRecord]).To(MatchJSON(`{"version":1,"limits":{"pids":1024,"logBytesPerSecond":0},"egressRules":[{"protocol":"tcp","destinations":["1.2.3.4"],"ports":[80]}],"organizationalUnits":["app:app-guid"]}`))

	delete(annotations, keys.MetricTags)
	delete(annotations, keys.WorkRecord)
	delete(podAnnotations, keys.MetricTags)
	g.Expect(kept).To(Equal(plain), "all else is as it was")
}

func TestManyEgressRulesOfATaskAreInItsSecret(t *testing.T) {
	g := NewWithT(t)
	task := keptTask()
	for i := range 3000 {
		task.EgressRules = append(task.EgressRules, opi.EgressRule{Protocol: "all", Destinations: []string{fmt.Sprintf("10.0.%d.%d", i/256, i%256)}})
	}
	objects, err := testSettings().Render(task, assembled())
	g.Expect(err).NotTo(HaveOccurred())
	record, err := render.DecodeWorkRecord(objects.Job.Annotations, objects.Secrets[0].Data)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(record).To(Equal(render.TaskRecord(task)))
}

// keptTask has a value in every part that is only kept.
func keptTask() opi.Task {
	task := bbsTask()
	task.MetricTags = map[string]opi.MetricTag{"app_name": {Text: "the app"}}
	task.EgressRules = []opi.EgressRule{{Protocol: "tcp", Destinations: []string{"1.2.3.4"}, Ports: []int32{80}}}
	task.OrganizationalUnits = []string{"app:app-guid"}
	task.Limits.PIDs, task.Limits.LogBytesPerSecond = 1024, new(int64(0))
	return task
}

func TestOnlyOtherDoorsAreNoted(t *testing.T) {
	g := NewWithT(t)
	task := testTask()
	render := func() *batchv1.Job {
		objects, err := testSettings().Render(task, assembled())
		g.Expect(err).NotTo(HaveOccurred())
		return objects.Job
	}
	plain := render()
	g.Expect(plain.Annotations).NotTo(HaveKey("irene.cloudfoundry.org/door"))
	task.Door = "other"
	noted := render()
	g.Expect(noted.Annotations).To(HaveKeyWithValue("irene.cloudfoundry.org/door", "other"))
	delete(noted.Annotations, "irene.cloudfoundry.org/door")
	g.Expect(noted).To(Equal(plain), "its pod included")
}
