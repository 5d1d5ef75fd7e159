//go:build controlplane

package controlplane_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/stager/steps"
)

// samplePackage and sampleBuildpack are what builds here are asked for with; nothing
// ever reads them.
const (
	samplePackage   = "package"
	sampleBuildpack = "sample"
)

// reporting is a platform that stages apps for a Cloud Controller that can be watched.
// What becomes of a build's pod the spec says.
type reporting struct {
	*staging
	cc *standin.Server
	// result is the digest of a build's result in the registry.
	result string
	// away is held while irene is killed and started anew.
	away sync.Mutex
}

func newReporting(ctx context.Context, options standin.Options) *reporting {
	GinkgoHelper()
	options.User, options.Password = "internal_user", "callback-hunter2"
	cc, err := standin.Start(options)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cc.Close)
	_, err = cc.AddPackage(samplePackage, strings.NewReader("package"))
	Expect(err).NotTo(HaveOccurred())
	_, err = cc.AddBuildpack(sampleBuildpack, sampleBuildpack, "", strings.NewReader("buildpack"))
	Expect(err).NotTo(HaveOccurred())
	r := &reporting{staging: newStaging(ctx, map[string]any{
		"stager": map[string]any{"pull_patience": "1s", "docker_patience": "1s", "scheduling_patience": "4s"},
	}), cc: cc}
	r.storeResult(ctx)
	return r
}

// storeResult puts into the registry what push does.
func (r *reporting) storeResult(ctx context.Context) {
	GinkgoHelper()
	text, err := steps.Result{LifecycleType: "buildpack", ProcessTypes: map[string]string{"web": "./server"}}.Text()
	Expect(err).NotTo(HaveOccurred())
	layer := static.NewLayer(text, bits.ResultType)
	digest, err := layer.Digest()
	Expect(err).NotTo(HaveOccurred())
	Expect(remote.WriteLayer(r.Repository("droplets"), layer, remote.WithContext(ctx),
		remote.WithAuth(&authn.Basic{Username: r.Writer.Name, Password: r.Writer.Password}))).To(Succeed())
	r.result = digest.String()
}

// restart kills irene, when it happens to be, and starts another one.
func (r *reporting) restart(ctx context.Context) (killed time.Time) {
	GinkgoHelper()
	r.away.Lock()
	defer r.away.Unlock()
	r.irene.Kill()
	killed = time.Now()
	r.irene = r.Start(ctx)
	return killed
}

// insists calls irene until it answers as wanted: it may be killed before it has.
func (r *reporting) insists(ctx context.Context, method, path string, body any, status int) {
	GinkgoHelper()
	Eventually(func() (cloudcontroller.Answer, error) {
		r.away.Lock()
		client := r.irene.Client
		r.away.Unlock()
		return client.Call(ctx, method, path, body)
	}).Should(controlplane.Answered(status))
}

// reported is a build that Cloud Controller waits for.
type reported struct {
	standin.Build
	// build is the request for it.
	build
	home *reporting
}

// newBuild is one that was not asked for yet.
func (r *reporting) newBuild(wanted standin.Build) *reported {
	GinkgoHelper()
	wanted.Stack, wanted.MemoryMB = imageworks.StackName, controlplane.HugeMemoryMiB
	if wanted.Image == "" {
		wanted.Package, wanted.Buildpacks = samplePackage, []string{sampleBuildpack}
	}
	made, request, err := r.cc.NewBuild(wanted)
	Expect(err).NotTo(HaveOccurred())
	return &reported{Build: made, build: request, home: r}
}

// stages asks for a build and waits until its pod is on the node.
func (r *reporting) stages(ctx context.Context) *reported {
	GinkgoHelper()
	b := r.newBuild(standin.Build{})
	stage(ctx, r.irene, b.build)
	r.placed(ctx, b.build)
	return b
}

// received are the outcomes that Cloud Controller was told.
func (b *reported) received() []standin.Request {
	return b.home.cc.Received(standin.BuildCompleted, b.GUID)
}

// ended waits until Cloud Controller knows of the end.
func (b *reported) ended(ctx context.Context) standin.Build {
	GinkgoHelper()
	ended, err := b.home.cc.WaitForBuild(ctx, b.GUID)
	Expect(err).NotTo(HaveOccurred())
	return ended
}

// answered waits until it is written down that Cloud Controller has answered.
func (b *reported) answered(ctx context.Context) string {
	GinkgoHelper()
	var mark string
	Eventually(func() string {
		mark = b.home.job(ctx, b.build).Annotations["irene.cloudfoundry.org/outcome-answer"]
		return mark
	}).Should(Not(BeEmpty()))
	return mark
}

// report writes the status of the build's pod as a kubelet would.
func (b *reported) report(ctx context.Context, change func(*corev1.PodStatus)) {
	GinkgoHelper()
	pods := api.CoreV1().Pods(b.home.Namespace)
	Expect(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		list, err := pods.List(ctx, controlplane.SelectGUID(b.GUID))
		if err != nil {
			return err
		}
		if len(list.Items) == 0 {
			return nil // it was canceled
		}
		change(&list.Items[0].Status)
		_, err = pods.UpdateStatus(ctx, &list.Items[0], metav1.UpdateOptions{})
		return err
	})).To(Succeed())
}

// step is what kubelet says of a step's container.
func step(name string, state corev1.ContainerState) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, Image: "image", State: state}
}

// over is the state of a step that has ended with err, nil for success, and with a
// droplet if it was push.
func over(name string, err error, droplet *steps.OutcomeDroplet) corev1.ContainerState {
	GinkgoHelper()
	outcome := steps.NewOutcome(name, time.Now(), nil, err)
	outcome.Droplet = droplet
	message, encodingErr := outcome.Text()
	Expect(encodingErr).NotTo(HaveOccurred())
	status := 0
	var failure *steps.Failure
	if errors.As(err, &failure) {
		status = failure.Reason.ExitStatus()
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: int32(status), Reason: "Completed", Message: string(message), FinishedAt: metav1.Now(),
	}}
}

// succeeds uploads a droplet and ends the pod as push does.
func (b *reported) succeeds(ctx context.Context) {
	GinkgoHelper()
	lifecycle := b.build["lifecycle"].(map[string]any)["buildpack_lifecycle"].(map[string]any)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, lifecycle["droplet_upload_uri"].(string), strings.NewReader("droplet of "+b.GUID))
	Expect(err).NotTo(HaveOccurred())
	answer, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	Expect(answer.Body.Close()).To(Succeed())
	Expect(answer.StatusCode).To(Equal(http.StatusCreated))
	digest := b.home.result
	b.report(ctx, func(s *corev1.PodStatus) {
		s.Phase = corev1.PodSucceeded
		s.InitContainerStatuses = []corev1.ContainerStatus{
			step(steps.FetchStep, over(steps.FetchStep, nil, nil)), step(steps.BuildStep, over(steps.BuildStep, nil, nil)),
		}
		s.ContainerStatuses = []corev1.ContainerStatus{
			step(steps.PushStep, over(steps.PushStep, nil, &steps.OutcomeDroplet{Bytes: 7, SHA1: "a", SHA256: "b", Manifest: digest, Result: digest})),
		}
	})
}

// buildFails ends the pod in the build step.
func (b *reported) buildFails(ctx context.Context, state corev1.ContainerState) {
	GinkgoHelper()
	b.report(ctx, func(s *corev1.PodStatus) {
		s.Phase = corev1.PodFailed
		s.InitContainerStatuses = []corev1.ContainerStatus{step(steps.FetchStep, over(steps.FetchStep, nil, nil)), step(steps.BuildStep, state)}
	})
}

// detectFails ends it with the usual failure.
func (b *reported) detectFails(ctx context.Context) {
	GinkgoHelper()
	b.buildFails(ctx, over(steps.BuildStep, steps.Fail(steps.NoAppDetected, "no buildpack wants it"), nil))
}
