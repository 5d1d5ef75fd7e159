package job

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
	metalabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	batchclient "k8s.io/client-go/kubernetes/typed/batch/v1"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// Store has the Jobs of one kind of work. All methods may be called at the same time,
// also by several replicas.
type Store struct {
	Client    kubernetes.Interface
	Namespace string
	// Kind is the value of keys.SourceType on everything of this work, What its name in
	// errors: "build".
	Kind, What string
	// Prefix begins all names.
	Prefix string
	Logger lager.Logger
	Clock  clock.PassiveClock
}

// Name is the name of the Job of a guid.
func (s Store) Name(guid string) string { return Name(s.Prefix, guid) }

// Selector finds everything of this kind.
func (s Store) Selector() string {
	return metalabels.SelectorFromSet(metalabels.Set{keys.SourceType: s.Kind}).String()
}

func (s Store) jobs() batchclient.JobInterface { return s.Client.BatchV1().Jobs(s.Namespace) }

// Find returns the Job of a guid. The error wraps opi.ErrNotFound where there is none,
// and opi.ErrRefused where something else has its name.
func (s Store) Find(ctx context.Context, guid string) (*batchv1.Job, error) {
	name := s.Name(guid)
	job, err := s.jobs().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%s %s: %w", s.What, guid, opi.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("look for Job %s: %w", name, apierror.Classify(err))
	case job.Labels[keys.SourceType] != s.Kind || job.Labels[keys.GUID] != guid:
		return nil, opi.WithMessage(fmt.Errorf("%w: the name %s belongs to a Job that is not this %s's", opi.ErrRefused, name, s.What), "%s", apierror.NameTaken)
	}
	return job, nil
}

// Exists is whether there is a Job of a guid, in whatever state. It asks again while the
// API server is unavailable, for some seconds.
func (s Store) Exists(ctx context.Context, guid string) (known bool, err error) {
	err = Patiently(ctx, func(ctx context.Context) error {
		_, err := s.Find(ctx, guid)
		if known = err == nil; errors.Is(err, opi.ErrNotFound) {
			return nil
		}
		return err
	})
	return known, err
}

// Write makes the Secrets and then the Job, which may be there when another replica was
// asked too, or when the answer to our own create got lost. It tries again while the API
// server is unavailable, for some seconds.
func (s Store) Write(ctx context.Context, secrets []*corev1.Secret, job *batchv1.Job) error {
	return Patiently(ctx, func(ctx context.Context) error {
		for _, secret := range secrets {
			if err := s.writeSecret(ctx, secret); err != nil {
				return err
			}
		}
		_, err := s.jobs().Create(ctx, job, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			_, err = s.Find(ctx, job.Labels[keys.GUID])
			return err
		}
		if err != nil {
			return fmt.Errorf("create Job %s: %w", job.Name, apierror.Classify(err))
		}
		return nil
	})
}

// writeSecret creates a Secret or, when an earlier attempt or another replica has left
// one, sets its content. Either way it is marked as counted on, which changes the
// resource version that the Sweeper insists on.
func (s Store) writeSecret(ctx context.Context, secret *corev1.Secret) error {
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
		return fmt.Errorf("write Secret %s: %w", secret.Name, apierror.Classify(err))
	}
	return nil
}

// CheckSize refuses what Kubernetes would refuse, in words that name the limit (API
// server: 1 MiB over all values of a Secret). The error is an *opi.FieldError for field;
// what says what the values are, in the plural.
func CheckSize(field, what string, data map[string][]byte) error {
	total := 0
	for _, content := range data {
		total += len(content)
	}
	if total > corev1.MaxSecretSize {
		return opi.Invalid(field, "%s have %d bytes together, more than the %d that one Secret holds", what, total, corev1.MaxSecretSize)
	}
	return nil
}
