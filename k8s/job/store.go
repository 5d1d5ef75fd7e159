package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metalabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	batchclient "k8s.io/client-go/kubernetes/typed/batch/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// Kind holds what differs between kinds of work in their Jobs.
type Kind struct {
	// SourceType is the value of [keys.SourceType] on all objects of this kind.
	SourceType string
	// Name is what errors call one piece of work: "build".
	Name string
	// Prefix begins the names of all objects.
	Prefix string
	// GUIDField is the field of log lines with the work's guid, EndedMessage the message of
	// the line about its end.
	GUIDField, EndedMessage string
}

// Dependencies are what all stores work with.
type Dependencies struct {
	Client   kubernetes.Interface
	Metadata metadata.Interface
	// OrphanMinAge is how long a Secret without a Job is left alone, since a request
	// may be about to create the Job.
	OrphanMinAge time.Duration
	// SweepInterval is the time between two sweeps; DefaultSweepInterval when 0.
	SweepInterval time.Duration

	Logger     lager.Logger
	Registerer prometheus.Registerer
	// Clock is the machine's when nil.
	Clock clock.PassiveClock
}

// Options of a [Store].
type Options struct {
	Dependencies
	Kind      Kind
	Namespace string
	Metrics   Metrics
}

// Store keeps the Jobs of one kind of work. All methods may be called at the same time,
// also by several replicas.
type Store struct {
	options Options
	// counted has Jobs whose end was counted.
	counted *lru.Cache[types.UID, struct{}]
}

// maxCounted Jobs take half a megabyte.
const maxCounted = 4096

// New makes a Store. Nothing runs before [Store.Sweep].
func New(o Options) *Store {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	counted, err := lru.New[types.UID, struct{}](maxCounted)
	if err != nil {
		panic(err) // only for a size below one
	}
	o.Metrics.register(o.Registerer)
	return &Store{options: o, counted: counted}
}

// Name returns the name of the Job of a guid.
func (s *Store) Name(guid string) string { return Name(s.options.Kind.Prefix, guid) }

// Now returns the time of the Store's clock.
func (s *Store) Now() time.Time { return s.options.Clock.Now() }

// Selector finds everything of this kind.
func (s *Store) Selector() string {
	return metalabels.SelectorFromSet(metalabels.Set{keys.SourceType: s.options.Kind.SourceType}).String()
}

func (s *Store) jobs() batchclient.JobInterface {
	return s.options.Client.BatchV1().Jobs(s.options.Namespace)
}

// Find returns the Job of a guid. The error wraps opi.ErrNotFound where there is none,
// and opi.ErrRefused where something else has its name.
func (s *Store) Find(ctx context.Context, guid string) (*batchv1.Job, error) {
	name := s.Name(guid)
	job, err := s.jobs().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%s %s: %w", s.options.Kind.Name, guid, opi.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("look for Job %s: %w", name, apierror.Classify(err))
	case job.Labels[keys.SourceType] != s.options.Kind.SourceType || job.Labels[keys.GUID] != guid:
		return nil, opi.WithMessage(fmt.Errorf("%w: the name %s belongs to a Job that is not this %s's", opi.ErrRefused, name, s.options.Kind.Name), "%s", apierror.NameTaken)
	}
	return job, nil
}

// Desire makes sure that there is a Job of a guid, and reports whether it wrote one. A Job
// that is there already, in whatever state, means that the work was requested before; the
// error wraps opi.ErrExists if it was by another request than this
// one. All other Jobs are made from what objects returns.
func (s *Store) Desire(ctx context.Context, guid, request string, objects func(context.Context) (Objects, error)) (written bool, err error) {
	exists, err := s.exists(ctx, guid, request)
	if exists && err == nil {
		s.options.Logger.Debug("known-already", lager.Data{s.options.Kind.GUIDField: guid})
	}
	if exists || err != nil {
		return false, err
	}
	found, err := objects(ctx)
	if err != nil {
		return false, err
	}
	return true, s.Write(ctx, found)
}

// exists reports whether there is a Job of a guid, in whatever state. The error is that of join.
// It tries again while the API server is unavailable, for some seconds.
func (s *Store) exists(ctx context.Context, guid, request string) (exists bool, err error) {
	err = Patiently(ctx, func(ctx context.Context) error {
		job, err := s.Find(ctx, guid)
		if exists = err == nil; errors.Is(err, opi.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.join(job, request)
	})
	return exists, err
}

// Write makes the Secrets and then the Job, which may be there when another replica got
// the request too, or when the answer to our own create got lost. It tries again while the API
// server is unavailable, for some seconds.
func (s *Store) Write(ctx context.Context, objects Objects) error {
	return Patiently(ctx, func(ctx context.Context) error {
		for _, secret := range objects.Secrets {
			if err := s.writeSecret(ctx, secret); err != nil {
				return err
			}
		}
		_, err := s.jobs().Create(ctx, objects.Job, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			job, err := s.Find(ctx, objects.Job.Labels[keys.GUID])
			if err != nil {
				return err
			}
			return s.join(job, objects.Job.Annotations[keys.Request])
		}
		if err != nil {
			return fmt.Errorf("create Job %s: %w", objects.Job.Name, apierror.Classify(err))
		}
		return nil
	})
}

// writeSecret creates a Secret or, when an earlier attempt or another replica has left
// one, sets its content. Either way it is marked as counted on, which changes the
// resource version that the Sweeper insists on.
func (s *Store) writeSecret(ctx context.Context, secret *corev1.Secret) error {
	secrets := s.options.Client.CoreV1().Secrets(secret.Namespace)
	now := map[string]string{keys.DesiredAt: s.options.Clock.Now().UTC().Format(time.RFC3339)}
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
// what names the values, in the plural.
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
