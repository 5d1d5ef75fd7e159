//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

const (
	reportFinalizer = "irene.cloudfoundry.org/report"
	stoppedBecause  = "irene.cloudfoundry.org/stopped"
)

// staging is a platform that stages apps, with a stack imported and one irene.
type staging struct {
	*assembling
	// node takes all builds, and does nothing with them.
	node *controlplane.SilentNode
}

// newStaging has settings laid over irene's.
func newStaging(ctx context.Context, settings map[string]any) *staging {
	GinkgoHelper()
	return newStagingBehind(ctx, direct(), settings)
}

func newStagingBehind(ctx context.Context, kubeconfig string, settings map[string]any) *staging {
	GinkgoHelper()
	works, err := imageworks.Start(GinkgoT().TempDir(), GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(works.Stop)
	all := works.Settings()
	all["leader_election"] = map[string]any{"enabled": false}
	all["apps"] = map[string]any{"placement": map[string]any{"shared": "any"}, "orphan_min_age": "1s"}
	maps.Copy(all, settings)
	s := &staging{assembling: &assembling{Platform: newPlatform(ctx, kubeconfig, all), Works: works}, node: controlplane.NewHugeNode(ctx, api)}
	DeferCleanup(s.ClearJobs)
	s.importStack(ctx)
	s.irene = s.Start(ctx)
	return s
}

// build is a request for a build, as Cloud Controller sends it.
type build map[string]any

// newBuild takes a recorded request for a build of its own.
func newBuild(fixture string) build {
	GinkgoHelper()
	content, err := fixtures.Requests.ReadFile("requests/" + fixture)
	Expect(err).NotTo(HaveOccurred())
	b := build{}
	Expect(json.Unmarshal(content, &b)).To(Succeed())
	b["staging_guid"] = cloudcontroller.NewGUID()
	b["app_guid"] = cloudcontroller.NewGUID()
	b["memory_mb"] = controlplane.HugeMemoryMiB
	return b
}

const (
	formerBuild = "12-stage-buildpack-r1.json"
	usualBuild  = "13-stage-buildpack-r2.json"
	dockerBuild = "14-stage-docker-r2.json"
)

func (b build) guid() string { return b["staging_guid"].(string) }

func (b build) jobName() string { return "stage-" + b.guid() }

func (b build) with(key string, value any) build {
	b[key] = value
	return b
}

// variable adds one to the environment.
func (b build) variable(name, value string) build {
	b["environment"] = append(b["environment"].([]any), map[string]any{"name": name, "value": value})
	return b
}

func (b build) path() string { return "/stage/" + b.guid() }

// message is where Cloud Controller looks for it.
func stageMessage(answer cloudcontroller.Answer) string {
	var body struct{ Message string }
	_ = json.Unmarshal(answer.Body, &body)
	return body.Message
}

// stage sends the request and wants it accepted.
func stage(ctx context.Context, irene *ireneprocess.Process, b build) {
	GinkgoHelper()
	Expect(irene.Call(ctx, http.MethodPost, b.path(), b)).To(controlplane.Answered(http.StatusAccepted))
}

// refuses wants a build refused, and nothing of it in Kubernetes.
func (s *staging) refuses(ctx context.Context, b build, status int) string {
	GinkgoHelper()
	answer, err := s.irene.Call(ctx, http.MethodPost, b.path(), b)
	Expect(err).NotTo(HaveOccurred())
	Expect(answer).To(controlplane.Answered(status))
	Expect(s.jobs(ctx, b)).To(BeEmpty())
	Expect(s.Secrets(ctx, b.guid())).To(BeEmpty())
	return stageMessage(answer)
}

func (s *staging) jobs(ctx context.Context, b build) []batchv1.Job {
	GinkgoHelper()
	list, err := api.BatchV1().Jobs(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "cloudfoundry.org/staging_guid=" + b.guid()})
	Expect(err).NotTo(HaveOccurred())
	return list.Items
}

// job is the build's only one.
func (s *staging) job(ctx context.Context, b build) batchv1.Job {
	GinkgoHelper()
	jobs := s.jobs(ctx, b)
	Expect(jobs).To(HaveLen(1))
	Expect(jobs[0].Name).To(Equal(b.jobName()))
	return jobs[0]
}

// placed is the build's pod once it is on the node.
func (s *staging) placed(ctx context.Context, b build) corev1.Pod {
	GinkgoHelper()
	var found corev1.Pod
	Eventually(func(g Gomega) {
		pods := s.Pods(ctx, b.guid())
		g.Expect(pods).To(HaveLen(1))
		g.Expect(pods[0].Spec.NodeName).To(Equal(s.node.Name))
		found = pods[0]
	}).Should(Succeed())
	return found
}
