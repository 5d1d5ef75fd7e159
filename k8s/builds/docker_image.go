package builds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
)

const (
	// askAgain is the pause before a registry that did not answer is asked again.
	askAgain = 3 * time.Second
	// awaitTurn is the pause while too many registries are being asked.
	awaitTurn = time.Second
)

// imageFile is the key of an image in its Secret.
const imageFile = "image.json"

// imageRecord is a docker image as its Secret keeps it.
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

// isRecord reports whether a Job stands for a docker image and has no pod.
func isRecord(build *batchv1.Job) bool { return build.Annotations[keys.DockerImage] != "" }

// decideImage asks the image's registry. A registry that does not answer is asked again
// until the patience is over, counted from the request for the build, so that a restart
// changes nothing.
func (b *Builds) decideImage(ctx context.Context, build *batchv1.Job) (*opi.Outcome, time.Duration, error) {
	guid := build.Labels[keys.StagingGUID]
	if because := stopped(build); because != nil {
		return because.Outcome(guid), 0, nil
	}
	if build.DeletionTimestamp != nil {
		return deleted().Outcome(guid), 0, nil
	}
	select {
	case b.lookups <- struct{}{}:
		defer func() { <-b.lookups }()
	default:
		return nil, awaitTurn, nil
	}
	image, startsApp, err := b.recordedImage(ctx, build)
	if apierrors.IsNotFound(err) {
		return stager.Failed("internal", opi.StagerError, "Staging was interrupted: somebody deleted its Secret in Kubernetes").Outcome(guid), 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	config, err := b.options.Configs.Config(ctx, image)
	if err == nil {
		err = b.checkUser(ctx, image)
	}
	switch {
	case err == nil:
		outcome, err := stager.ImageOutcome(guid, image.Reference, config, startsApp)
		return outcome, 0, err
	case ctx.Err() != nil:
		return nil, 0, ctx.Err()
	case errors.Is(err, opi.ErrRefused), b.jobs.Now().Sub(build.CreationTimestamp.Time) > b.options.Settings.DockerPatience:
		return stager.ImageFailure(err).Outcome(guid), 0, nil
	}
	return nil, askAgain, nil
}

// checkUser returns an error that wraps opi.ErrRefused if the platform does not run the
// image as its user. Where that can't be found out, the app's start decides.
func (b *Builds) checkUser(ctx context.Context, image opi.Image) error {
	if b.options.Users == nil {
		return nil
	}
	_, err := b.options.Users.User(ctx, image)
	if err != nil && !errors.Is(err, opi.ErrRefused) {
		b.logger.Info("image-user-not-found-out", lager.Data{"image": image.Reference, "reason": err.Error()})
		return nil
	}
	return err
}

// recordedImage returns the image of a record, and whether Cloud Controller starts the app
// as soon as a success is reported.
func (b *Builds) recordedImage(ctx context.Context, build *batchv1.Job) (image opi.Image, startsApp bool, err error) {
	secret, err := b.options.Client.CoreV1().Secrets(build.Namespace).Get(ctx, build.Name, metav1.GetOptions{})
	if err != nil {
		return opi.Image{}, false, fmt.Errorf("read Secret %s: %w", build.Name, apierror.Classify(err))
	}
	var record imageRecord
	if err := json.Unmarshal(secret.Data[imageFile], &record); err != nil {
		return opi.Image{}, false, fmt.Errorf("read %s in Secret %s: it is not what was written there", imageFile, build.Name)
	}
	// Validate has parsed it before.
	callback, err := url.Parse(string(secret.Data[keys.CallbackKey]))
	return record.image(), err == nil && callback.Query().Get("start") == "true", nil
}
