package stager

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

const (
	// askAgain is the pause before a registry that did not answer is asked again.
	askAgain = 3 * time.Second
	// awaitTurn is the pause while too many registries are being asked.
	awaitTurn = time.Second
)

// isRecord is whether a Job stands for a docker image and has no pod.
func isRecord(job *batchv1.Job) bool { return job.Annotations[keys.DockerImage] != "" }

// decideImage asks the image's registry. A registry that does not answer is asked again
// until the patience is over, counted from the request for the build, so that a restart
// changes nothing.
func (s *Stager) decideImage(ctx context.Context, job *batchv1.Job) (*opi.Outcome, time.Duration, error) {
	guid := job.Labels[keys.StagingGUID]
	if because := stopped(job); because != nil {
		return because.outcome(guid), 0, nil
	}
	if job.DeletionTimestamp != nil {
		return deleted().outcome(guid), 0, nil
	}
	select {
	case s.questions <- struct{}{}:
		defer func() { <-s.questions }()
	default:
		return nil, awaitTurn, nil
	}
	image, startsApp, err := s.recordedImage(ctx, job)
	if apierrors.IsNotFound(err) {
		return failed("internal", opi.StagerError, "Staging was interrupted: somebody deleted its Secret in Kubernetes").outcome(guid), 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	config, err := s.Configs.Config(ctx, image)
	if err == nil {
		err = s.checkUser(ctx, image)
	}
	switch {
	case err == nil:
		outcome, err := imageOutcome(guid, image.Reference, config, startsApp)
		return outcome, 0, err
	case ctx.Err() != nil:
		return nil, 0, ctx.Err()
	case errors.Is(err, opi.ErrRefused), s.jobs.Now().Sub(job.CreationTimestamp.Time) > s.Settings.DockerPatience:
		return failed("image", opi.StagingError, "The image can't be used: %s", imageFault(err)).outcome(guid), 0, nil
	}
	return nil, askAgain, nil
}

// checkUser returns an error that wraps opi.ErrRefused if the platform does not run the
// image as its user. Where that can't be found out, the app's start decides.
func (s *Stager) checkUser(ctx context.Context, image opi.Image) error {
	if s.Users == nil {
		return nil
	}
	_, err := s.Users.User(ctx, image)
	if err != nil && !errors.Is(err, opi.ErrRefused) {
		s.Logger.Info("image-user-not-found-out", lager.Data{"image": image.Reference, "reason": err.Error()})
		return nil
	}
	return err
}

// imageFault returns what is wrong with an image, for its owner.
func imageFault(err error) string {
	if fields := opi.FieldErrors(err); len(fields) > 0 {
		return fields[0].Reason
	}
	if message := opi.Message(err); message != "" {
		return message
	}
	return strings.Replace(err.Error(), opi.ErrRefused.Error()+": ", "", 1)
}

// recordedImage returns the image of a record, and whether Cloud Controller starts the app
// as soon as a success is reported.
func (s *Stager) recordedImage(ctx context.Context, job *batchv1.Job) (image opi.Image, startsApp bool, err error) {
	secret, err := s.Client.CoreV1().Secrets(job.Namespace).Get(ctx, job.Name, metav1.GetOptions{})
	if err != nil {
		return opi.Image{}, false, fmt.Errorf("read Secret %s: %w", job.Name, apierror.Classify(err))
	}
	var record imageRecord
	if err := json.Unmarshal(secret.Data[imageFile], &record); err != nil {
		return opi.Image{}, false, fmt.Errorf("read %s in Secret %s: it is not what was written there", imageFile, job.Name)
	}
	// Validate has parsed it before.
	callback, err := url.Parse(string(secret.Data[keys.CallbackKey]))
	return record.image(), err == nil && callback.Query().Get("start") == "true", nil
}

// imagePort is a port in the form that Cloud Controller reads.
type imagePort struct {
	Port     uint16
	Protocol string
}

// executionMetadata is how an image wants to run; Cloud Controller takes the ports.
type executionMetadata struct {
	Command          []string    `json:"cmd"`
	Entrypoint       []string    `json:"entrypoint,omitempty"`
	WorkingDirectory string      `json:"workdir,omitempty"`
	User             string      `json:"user,omitempty"`
	Ports            []imagePort `json:"ports"`
}

// imageOutcome is the result for an image (contract 2.3). The web process has no command
// of its own, which makes the image's count, whatever shell it has or has not.
//
// An image without any command needs the app's start command, which no request for a
// build carries. Cloud Controller knows it: where it starts the app at once, it fails a
// build without process types unless the app has a start command. Where it only stages,
// the command may be set later, and Cloud Controllers before 2021 would fail builds of
// apps that have one; the app's start tells then.
func imageOutcome(guid, reference string, config ImageConfig, startsApp bool) (*opi.Outcome, error) {
	processTypes := map[string]string{"web": ""}
	if startsApp && len(config.Entrypoint)+len(config.Command) == 0 {
		processTypes = map[string]string{}
	}
	ports, err := parsePorts(config.Ports)
	if err != nil {
		return failed("image", opi.StagingError, "The image can't be used: %s", err).outcome(guid), nil
	}
	execution, err := json.Marshal(executionMetadata{
		Command: append([]string{}, config.Command...), Entrypoint: config.Entrypoint,
		WorkingDirectory: config.WorkingDirectory, User: config.User, Ports: ports,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the image's way to run: %w", err)
	}
	result, err := json.Marshal(map[string]any{
		"lifecycle_type":     "docker",
		"lifecycle_metadata": map[string]string{"docker_image": reference},
		"process_types":      processTypes,
		"execution_metadata": string(execution),
	})
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return success(guid, result, failed("image", opi.StagingError, "The image can't be used: its command, entrypoint and ports have %d KiB, and the limit is about %d KiB",
		len(execution)>>10, opi.MaxResultBytes>>10))
}

// parsePorts reads "8080/tcp" and "8080", and sorts by number and protocol.
func parsePorts(texts []string) ([]imagePort, error) {
	ports := []imagePort{}
	for _, text := range texts {
		number, protocol, found := strings.Cut(text, "/")
		if !found {
			protocol = "tcp"
		}
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 || protocol == "" {
			return nil, fmt.Errorf("it exposes %q, which is no port", text)
		}
		ports = append(ports, imagePort{Port: uint16(port), Protocol: strings.ToLower(protocol)})
	}
	slices.SortFunc(ports, func(a, b imagePort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return slices.Compact(ports), nil
}
