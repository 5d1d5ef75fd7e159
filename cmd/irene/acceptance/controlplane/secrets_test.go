//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("Secret values", func() {
	It("are nowhere but in the app's Secret: in no other object, Event, log line, metric or answer", func(ctx context.Context) {
		marker := "s3cr3t-" + cloudcontroller.NewGUID()
		place := alone(ctx, direct())
		place.Settings["log"] = map[string]any{"level": "debug"}
		irene := place.Start(ctx)
		seen := &strings.Builder{}
		note := func(answer cloudcontroller.Answer, err error) cloudcontroller.Answer {
			GinkgoHelper()
			Expect(err).NotTo(HaveOccurred())
			seen.Write(answer.Body)
			return answer
		}

		By("desiring, repeating, changing, updating, refusing")
		d := cloudcontroller.NewBuildpack("secretive").With("instances", 2).
			Env("VCAP_SERVICES", `{"mysql":[{"credentials":{"password":"`+marker+`"}}]}`).Env("DATABASE_URL", marker).Env("MY_KEY", marker)
		Expect(note(irene.Desire(ctx, d))).To(controlplane.Answered(202))
		Expect(note(irene.Desire(ctx, d))).To(controlplane.Answered(202))
		Expect(note(irene.Desire(ctx, d.Clone().Env("OTHER", marker).With("last_updated", "2.0")))).To(controlplane.Answered(202))
		Expect(note(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": 3}))).To(controlplane.Answered(200))
		docker := cloudcontroller.NewDocker("private", "127.0.0.1:1/private/app").Env("TOKEN", marker)
		lifecycle := docker["lifecycle"].(map[string]any)["docker_lifecycle"].(map[string]any)
		lifecycle["registry_username"], lifecycle["registry_password"] = "user-"+marker, "password-"+marker
		Expect(note(irene.Desire(ctx, docker))).To(controlplane.Answered(202))
		for _, bad := range []cloudcontroller.Desire{
			controlplane.App("refused").Env("HUGE", marker+strings.Repeat("x", 130<<10)),
			controlplane.App("refused").Env("NUL", marker+"\x00"),
			controlplane.App("refused").Env("BAD=NAME", marker),
			controlplane.App("refused").Env("KEY", marker).With("memory_mb", -1),
		} {
			Expect(note(irene.Desire(ctx, bad))).To(controlplane.Answered(422))
			note(irene.Call(ctx, "GET", "/apps/"+bad.GUID()+"/"+bad.Version()+"/instances", nil))
		}
		Expect(note(irene.Call(ctx, "PUT", "/apps/a-b", `{"guid":"a","version":"b","environment":{"A":["`+marker+`"]}}`))).To(controlplane.Answered(400))
		Expect(note(irene.Call(ctx, "PUT", "/apps/a-b", `{"environment":{"A":"`+marker))).To(controlplane.Answered(400))
		controlplane.AwaitRunning(ctx, irene, d, 3)
		note(irene.Call(ctx, "GET", "/apps", nil))
		note(irene.Get(ctx, d.GUID(), d.Version()))
		note(irene.Call(ctx, "GET", "/apps/"+d.GUID()+"/"+d.Version()+"/instances", nil))

		By("looking")
		values := place.Environment(ctx, d.GUID())
		Expect(values).To(HaveKeyWithValue("MY_KEY", marker), "the app itself gets it")
		hidden := func(what, text string) {
			GinkgoHelper()
			Expect(strings.Contains(text, marker)).To(BeFalse(), what)
			for shift := range 3 { // base64 of the marker, wherever it begins
				encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("-", shift) + marker))
				Expect(strings.Contains(text, encoded[4:len(encoded)-4])).To(BeFalse(), what+", in base64")
			}
		}
		metrics, err := irene.Metrics(ctx)
		Expect(err).NotTo(HaveOccurred())
		hidden("irene's metrics", metrics)
		hidden("irene's log", place.Log.String())
		hidden("irene's answers", seen.String())
		Expect(place.Log.String()).NotTo(ContainSubstring("Request Body"), "client-go's verbose logging")
		for what, object := range everythingIn(ctx, place.Namespace) {
			text, err := json.Marshal(object)
			Expect(err).NotTo(HaveOccurred())
			hidden(what, string(text))
		}
		for _, secret := range place.Secrets(ctx, "") {
			text, err := json.Marshal(secret.ObjectMeta)
			Expect(err).NotTo(HaveOccurred())
			hidden("a Secret's metadata", string(text))
			Expect(secret.Immutable).To(HaveValue(BeTrue()))
		}

		By("keeping the request for people without them")
		request := place.StatefulSet(ctx, d.GUID()).Annotations["cloudfoundry.org/original_request"]
		Expect(request).To(ContainSubstring(d.GUID()))
		var parsed map[string]any
		Expect(json.Unmarshal([]byte(request), &parsed)).To(Succeed())
		Expect(parsed).NotTo(HaveKey("environment"))
		pulled := place.StatefulSet(ctx, docker.GUID()).Annotations["cloudfoundry.org/original_request"]
		Expect(pulled).NotTo(SatisfyAny(ContainSubstring("registry_username"), ContainSubstring("registry_password")))
	}, patience)

	It("of a private registry are used to pull the image", func(ctx context.Context) {
		d := cloudcontroller.NewDocker("private", "127.0.0.1:1/private/app")
		lifecycle := d["lifecycle"].(map[string]any)["docker_lifecycle"].(map[string]any)
		lifecycle["registry_username"], lifecycle["registry_password"] = "user", "pass"
		controlplane.RunApp(ctx, irene, d)
		secrets := common.Secrets(ctx, d.GUID())
		Expect(secrets).To(HaveLen(1))
		Expect(string(secrets[0].Type)).To(Equal("kubernetes.io/dockerconfigjson"))
		Expect(secrets[0].Data[".dockerconfigjson"]).To(MatchJSON(`{"auths":{"127.0.0.1:1":{"username":"user","password":"pass","auth":"dXNlcjpwYXNz"}}}`))
		pull := common.StatefulSet(ctx, d.GUID()).Spec.Template.Spec.ImagePullSecrets
		Expect(pull).To(HaveLen(1))
		Expect(pull[0].Name).To(Equal(secrets[0].Name))
	}, patience)
})

// everythingIn are all objects of a namespace that Irene or controllers may have
// written, Secrets apart.
func everythingIn(ctx context.Context, namespace string) map[string]any {
	GinkgoHelper()
	objects := map[string]any{}
	note := func(what string, list any, err error) {
		GinkgoHelper()
		Expect(err).NotTo(HaveOccurred())
		objects[what] = list
	}
	all := metav1.ListOptions{}
	sets, err := api.AppsV1().StatefulSets(namespace).List(ctx, all)
	note("StatefulSets", sets, err)
	revisions, err := api.AppsV1().ControllerRevisions(namespace).List(ctx, all)
	note("ControllerRevisions", revisions, err)
	pods, err := api.CoreV1().Pods(namespace).List(ctx, all)
	note("pods", pods, err)
	events, err := api.CoreV1().Events(namespace).List(ctx, all)
	note("Events", events, err)
	maps, err := api.CoreV1().ConfigMaps(namespace).List(ctx, all)
	note("ConfigMaps", maps, err)
	budgets, err := api.PolicyV1().PodDisruptionBudgets(namespace).List(ctx, all)
	note("PodDisruptionBudgets", budgets, err)
	leases, err := api.CoordinationV1().Leases(namespace).List(ctx, all)
	note("Leases", leases, err)
	return objects
}
