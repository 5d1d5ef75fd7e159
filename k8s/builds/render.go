package builds

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
)

const (
	namePrefix = "stage-"
	// publicSuffix ends the name of the Secret of what user code may read.
	publicSuffix = "-build"
	// filesSuffix ends the name of the Secret of the build's files.
	filesSuffix = "-files"
)

// Objects are a build in Kubernetes.
type Objects struct {
	job.Objects
	// Mounted and Fetched are the names of the build's buildpacks, without secrets, by
	// the way in which the build gets them.
	Mounted, Fetched []string
}

// Render makes the objects of a build that has passed Validate. The same input makes the
// same objects. images and credentials count for builds with buildpacks only. Errors are
// *opi.FieldError.
func (s Settings) Render(build opi.Build, images stager.PodImages, credentials stager.Credentials) (Objects, error) {
	work := s.work(build)
	if build.Image != nil {
		return s.renderRecord(work, build)
	}
	build.Environment = maps.Clone(build.Environment)
	for _, variable := range instanceVariables() {
		delete(build.Environment, variable.Name)
	}
	needs, err := s.Steps.Needs(build, images, credentials)
	if err != nil {
		return Objects{}, err
	}
	needs.Private[keys.CallbackKey] = []byte(build.CompletionCallback)
	if err := work.Keep(render.BuildRecord(build), needs.Private); err != nil {
		return Objects{}, err
	}
	if err := errors.Join(
		job.CheckSize("source", "addresses of buildpacks, app package, droplet and cache", needs.Private),
		job.CheckSize("environment", "names and values", needs.Public),
	); err != nil {
		return Objects{}, err
	}
	secrets := []*corev1.Secret{
		work.Secret("", corev1.SecretTypeOpaque, needs.Private),
		work.Secret(publicSuffix, corev1.SecretTypeOpaque, needs.Public),
	}
	surroundings := s.surroundings(build, work.Name+filesSuffix)
	if len(surroundings.files) > 0 {
		if err := job.CheckSize("files", "their contents", surroundings.files); err != nil {
			return Objects{}, err
		}
		secrets = append(secrets, work.Secret(filesSuffix, corev1.SecretTypeOpaque, surroundings.files))
	}
	return Objects{
		Objects: job.Objects{
			Secrets: secrets,
			Job:     work.Job(s.stepsPod(needs, work.Name, build.PlacementTags, surroundings)),
		},
		Mounted: needs.Mounted, Fetched: needs.Fetched,
	}, nil
}

// noImage can't be pulled by anybody: ".invalid" is reserved for that. A record's pod is
// never made, and would do nothing if the suspension were taken away.
const noImage = "irene.invalid/record"

// renderRecord makes a Job without a pod.
func (s Settings) renderRecord(work job.Work, build opi.Build) (Objects, error) {
	image, err := json.Marshal(newImageRecord(*build.Image))
	if err != nil {
		return Objects{}, fmt.Errorf("encode image: %w", err)
	}
	content := map[string][]byte{keys.CallbackKey: []byte(build.CompletionCallback), imageFile: image}
	if err := errors.Join(
		work.Keep(render.BuildRecord(build), content),
		job.CheckSize("egressRules", "the rules and the image's credentials", content),
	); err != nil {
		return Objects{}, err
	}
	pod := s.pod(build.PlacementTags)
	pod.Containers = []corev1.Container{s.container("record", noImage, build.Limits.MemoryMiB, s.Steps.DiskMiB(build))}
	record := work.Job(pod)
	record.Spec.Suspend = ptr.To(true)
	record.Annotations[keys.DockerImage] = build.Image.Reference
	secret := work.Secret("", corev1.SecretTypeOpaque, content)
	return Objects{Objects: job.Objects{Secrets: []*corev1.Secret{secret}, Job: record}}, nil
}

func (s Settings) work(build opi.Build) job.Work {
	labels := render.OwnerLabels(keys.SourceTypeStaging, build.GUID, build.App, build.Space, build.Organization)
	labels[keys.StagingGUID] = build.GUID
	return job.Work{
		Namespace: s.Namespace, Name: job.Name(namePrefix, build.GUID), Door: build.Door, Request: build.Request, Labels: labels,
		Annotations: job.OwnerAnnotations(build.App, build.Space, build.Organization), Limits: s.limits(build),
	}
}

// limits returns the limits of a build, which may bound itself more tightly than the operator.
func (s Settings) limits(build opi.Build) job.Limits {
	limits := s.Limits
	if build.Timeout > 0 && (limits.Deadline == 0 || build.Timeout < limits.Deadline) {
		limits.Deadline = build.Timeout
	}
	return limits
}
