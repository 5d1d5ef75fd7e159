package stager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// Stage makes sure that the build's Job exists. A Job that is there already, in whatever
// state, means that it was asked for before. Errors wrap opi.ErrUnavailable,
// opi.ErrRefused or are *opi.FieldError. It takes no longer than the RequestPatience; what
// it had begun by then does no harm, and the same build may be asked for again.
func (s *Stager) Stage(ctx context.Context, build opi.Build) error {
	return s.soon(ctx, func(ctx context.Context) error { return s.stage(ctx, build) })
}

// soon gives up after RequestPatience: of an answer that comes after it has hung up,
// Cloud Controller learns nothing.
func (s *Stager) soon(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.RequestPatience)
	defer cancel()
	err := do(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: not done within %s: %w", opi.ErrUnavailable, s.RequestPatience, err)
	}
	return err
}

func (s *Stager) stage(ctx context.Context, build opi.Build) error {
	var known bool
	err := patiently(ctx, func(ctx context.Context) error {
		_, err := s.find(ctx, build.GUID)
		if known = err == nil; errors.Is(err, opi.ErrNotFound) {
			return nil
		}
		return err
	})
	if known {
		s.Logger.Debug("known-already", lager.Data{"staging_guid": build.GUID})
		return nil
	}
	var objects Objects
	if err == nil {
		objects, err = s.objects(ctx, build)
	}
	if err == nil {
		err = patiently(ctx, func(ctx context.Context) error { return s.write(ctx, build.GUID, objects) })
	}
	if err != nil {
		return fmt.Errorf("stage %s: %w", build.GUID, err)
	}
	data := lager.Data{"staging_guid": build.GUID, "job": objects.Job.Name, "app_guid": build.App.GUID}
	if s.Buildpacks != nil && build.Source != nil {
		data["buildpacks_mounted"], data["buildpacks_fetched"] = objects.Mounted, objects.Fetched
	}
	s.metrics.buildpacks.WithLabelValues(fromImage).Add(float64(len(objects.Mounted)))
	s.metrics.buildpacks.WithLabelValues(fromDownload).Add(float64(len(objects.Fetched)))
	s.Logger.Info("staging", data)
	return nil
}

// patiently does what needs the API server again while that is unavailable, for some
// seconds: Cloud Controller asks once, and a build that was not taken has failed.
func patiently(ctx context.Context, do func(context.Context) error) error {
	backoff := wait.Backoff{Duration: 300 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 5}
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
		last = do(ctx)
		return !errors.Is(last, opi.ErrUnavailable), nil
	})
	if err != nil && last == nil {
		return fmt.Errorf("%w: %w", opi.ErrUnavailable, err)
	}
	return last
}

// write makes the Secrets and then the Job, which may be there when another replica was
// asked too, or when the answer to our own create got lost.
func (s *Stager) write(ctx context.Context, guid string, objects Objects) error {
	for _, secret := range objects.Secrets {
		if err := s.writeSecret(ctx, secret); err != nil {
			return err
		}
	}
	_, err := s.jobs().Create(ctx, objects.Job, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = s.find(ctx, guid)
		return err
	}
	if err != nil {
		return fmt.Errorf("create Job %s: %w", objects.Job.Name, k8s.Classify(err))
	}
	return nil
}

func (s *Stager) objects(ctx context.Context, build opi.Build) (Objects, error) {
	if build.Image != nil {
		return s.Settings.Render(build, PodImages{}, Credentials{})
	}
	images, err := s.Images.Ensure(ctx, build.Source.Stack)
	if errors.Is(err, opi.ErrRefused) {
		return Objects{}, opi.Invalid("source.stack", "%v", err)
	}
	if err != nil {
		return Objects{}, fmt.Errorf("make the images to stage in: %w", err)
	}
	if s.Buildpacks != nil {
		images.Buildpacks = s.Buildpacks.Find(ctx, build.Source.Buildpacks)
	}
	credentials, err := s.Credentials.Read()
	if err != nil {
		return Objects{}, err
	}
	return s.Settings.Render(build, images, credentials)
}

// find returns the build's Job. The error wraps opi.ErrNotFound where there is none, and
// opi.ErrRefused where something else has its name.
func (s *Stager) find(ctx context.Context, guid string) (*batchv1.Job, error) {
	name := jobName(guid)
	job, err := s.jobs().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("build %s: %w", guid, opi.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("look for Job %s: %w", name, k8s.Classify(err))
	case job.Labels[keys.SourceType] != keys.SourceTypeStaging || job.Labels[keys.StagingGUID] != guid:
		return nil, fmt.Errorf("%w: the name %s belongs to a Job that is not this build's", opi.ErrRefused, name)
	}
	return job, nil
}

// writeSecret creates a Secret or, when an earlier attempt or another replica has left
// one, sets its content. Either way it is marked as counted on, which changes the
// resource version that Sweep insists on.
func (s *Stager) writeSecret(ctx context.Context, secret *corev1.Secret) error {
	secrets := s.Client.CoreV1().Secrets(secret.Namespace)
	now := map[string]string{keys.DesiredAt: s.Clock.Now().UTC().Format(time.RFC3339)}
	secret.Annotations = now
	_, err := secrets.Create(ctx, secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var patch []byte
		patch, err = json.Marshal(map[string]any{
			"metadata": map[string]any{"labels": secret.Labels, "annotations": now},
			"data":     secret.Data,
		})
		if err != nil {
			return fmt.Errorf("encode Secret %s: %w", secret.Name, err)
		}
		_, err = secrets.Patch(ctx, secret.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("write Secret %s: it was deleted meanwhile: %w", secret.Name, opi.ErrUnavailable)
		}
	}
	if err != nil {
		return fmt.Errorf("write Secret %s: %w", secret.Name, k8s.Classify(err))
	}
	return nil
}
