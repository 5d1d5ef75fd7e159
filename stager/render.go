package stager

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
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
func (s Settings) Render(build opi.Build, images PodImages, credentials Credentials) (Objects, error) {
	name := jobName(build.GUID)
	if build.Image != nil {
		return s.renderRecord(name, build)
	}
	supply := images.supply(*build.Source)
	private, public, err := s.stepData(build, images, supply, credentials)
	if err != nil {
		return Objects{}, err
	}
	work := s.work(name, build)
	return Objects{
		Objects: job.Objects{
			Secrets: []*corev1.Secret{
				work.Secret("", corev1.SecretTypeOpaque, private),
				work.Secret(buildSecretSuffix, corev1.SecretTypeOpaque, public),
			},
			Job: work.Job(s.stepsPod(build, images, supply, name, private)),
		},
		Mounted: namesOf(supply.mounted), Fetched: namesOf(supply.fetched),
	}, nil
}

// imageRecord is what must be known of a docker image to ask for it.
type imageRecord struct {
	Reference string `json:"reference"`
	Username  string `json:"username,omitempty"`
	Password  string `json:"password,omitempty"`
}

func newImageRecord(image opi.Image) imageRecord {
	record := imageRecord{Reference: image.Reference}
	if image.Credentials != nil {
		record.Username, record.Password = image.Credentials.Username, image.Credentials.Password
	}
	return record
}

func (r imageRecord) image() opi.Image {
	image := opi.Image{Reference: r.Reference}
	if r.Username != "" || r.Password != "" {
		image.Credentials = &opi.RegistryCredentials{Username: r.Username, Password: r.Password}
	}
	return image
}

// noImage can't be pulled by anybody: ".invalid" is reserved for that. A record's pod is
// never made, and would do nothing if somebody took the suspension away.
const noImage = "irene.invalid/record"

// renderRecord makes a Job without a pod.
func (s Settings) renderRecord(name string, build opi.Build) (Objects, error) {
	image, err := json.Marshal(newImageRecord(*build.Image))
	if err != nil {
		return Objects{}, fmt.Errorf("encode image: %w", err)
	}
	pod := s.pod()
	pod.Containers = []corev1.Container{s.container("record", noImage, build.Limits.MemoryMiB, s.diskMiB(build))}
	work := s.work(name, build)
	record := work.Job(pod)
	record.Spec.Suspend = ptr.To(true)
	record.Annotations[keys.DockerImage] = build.Image.Reference
	secret := work.Secret("", corev1.SecretTypeOpaque, map[string][]byte{keys.CallbackKey: []byte(build.CompletionCallback), imageFile: image})
	return Objects{Objects: job.Objects{Secrets: []*corev1.Secret{secret}, Job: record}}, nil
}

func (s Settings) work(name string, build opi.Build) job.Work {
	labels := job.OwnerLabels(keys.SourceTypeStaging, build.GUID, build.App, build.Space, build.Organization)
	labels[keys.StagingGUID] = build.GUID
	return job.Work{
		Namespace: s.Namespace, Name: name, Door: build.Door, Labels: labels,
		Annotations: job.OwnerAnnotations(build.App, build.Space, build.Organization), Limits: s.Limits,
	}
}
