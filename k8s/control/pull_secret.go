package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// DefaultPullSecretInterval is how often the pull secret is compared with what it
// should be.
const DefaultPullSecretInterval = 10 * time.Second

// PullSecretOptions say what nodes need to pull images of droplets.
type PullSecretOptions struct {
	Secrets coreclient.SecretsGetter
	// Namespace is the apps' and Name the Secret's.
	Namespace, Name string
	// PullAddress is the registry's host[:port] as kubelet reaches it.
	PullAddress string
	// UsernameFile and PasswordFile are read each time, so that a change of theirs
	// counts within Interval. Package credential describes their form.
	UsernameFile, PasswordFile string
	// Interval is DefaultPullSecretInterval when 0.
	Interval time.Duration
	// Clock is the real one when nil.
	Clock  clock.WithTicker
	Logger lager.Logger
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
}

// PullSecret keeps the pull secret of the app namespace in step with what is
// configured. It makes it, changes it when the address or the credentials change, and
// puts back what somebody deletes or edits. A Secret of that name that is not marked
// as Irene's (label irene.cloudfoundry.org/pull-secret) belongs to somebody else and is
// never touched; the log says so.
//
// It compares, it does not watch, and may be killed and started again at any point.
// Two at once do the same; one is enough, so run it where this replica leads.
type PullSecret struct {
	options PullSecretOptions
	logger  lager.Logger
	steps   *reconcile.Steps[struct{}]
	// trouble is what was last said in the log.
	trouble string
}

// NewPullSecret reads the files once, so that a mistake shows at the start.
func NewPullSecret(options PullSecretOptions) (*PullSecret, error) {
	if options.Interval == 0 {
		options.Interval = DefaultPullSecretInterval
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	p := &PullSecret{options: options, logger: options.Logger.Session("pull-secret", lager.Data{"secret": options.Name})}
	if _, err := p.content(); err != nil {
		return nil, fmt.Errorf("make pull secret %s: %w", options.Name, err)
	}
	p.steps = reconcile.NewSteps("pull-secret", options.Registerer, reconcile.Step[struct{}]{
		Name: "compare",
		Run: func(ctx context.Context, _ struct{}) (reconcile.Result, error) {
			return reconcile.Result{}, p.reconcile(ctx)
		},
	})
	return p, nil
}

// Run compares at once and then at every interval, until ctx ends.
func (p *PullSecret) Run(ctx context.Context) error {
	ticker := p.options.Clock.NewTicker(p.options.Interval)
	defer ticker.Stop()
	for {
		_, err := p.steps.Run(ctx, struct{}{})
		p.say(ctx, err)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// say puts trouble into the log when it begins or changes, and its end.
func (p *PullSecret) say(ctx context.Context, err error) {
	trouble := ""
	if err != nil {
		trouble = err.Error()
	}
	switch {
	case trouble == p.trouble || ctx.Err() != nil:
		return
	case err != nil:
		p.logger.Error("not-in-step", err)
	default:
		p.logger.Info("in-step-again")
	}
	p.trouble = trouble
}

// errNotOurs says that somebody else has a Secret of that name.
var errNotOurs = errors.New("a Secret of that name exists and is not marked as Irene's (label " + keys.PullSecret + "): it stays as it is")

func (p *PullSecret) reconcile(ctx context.Context) error {
	content, err := p.content()
	if err != nil {
		return err
	}
	wanted := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.options.Namespace, Name: p.options.Name, Labels: map[string]string{keys.PullSecret: "true"}},
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: content},
	}
	secrets := p.options.Secrets.Secrets(p.options.Namespace)
	present, err := secrets.Get(ctx, p.options.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return p.create(ctx, wanted)
	case err != nil:
		return fmt.Errorf("look at Secret %s: %w", p.options.Name, apierror.Classify(err))
	case present.Labels[keys.PullSecret] == "":
		return errNotOurs
	case bytes.Equal(present.Data[corev1.DockerConfigJsonKey], content) && len(present.Data) == 1 && present.Type == wanted.Type:
		return nil
	case present.Type != wanted.Type || ptr.Deref(present.Immutable, false):
		// Neither can be changed.
		err := secrets.Delete(ctx, present.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &present.UID, ResourceVersion: &present.ResourceVersion}})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("replace Secret %s: %w", p.options.Name, apierror.Classify(err))
		}
		return p.create(ctx, wanted)
	}
	changed := present.DeepCopy()
	changed.Data = wanted.Data
	if _, err := secrets.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update Secret %s: %w", p.options.Name, apierror.Classify(err))
	}
	p.logger.Info("updated")
	return nil
}

func (p *PullSecret) create(ctx context.Context, wanted *corev1.Secret) error {
	if _, err := p.options.Secrets.Secrets(wanted.Namespace).Create(ctx, wanted, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create Secret %s: %w", wanted.Name, apierror.Classify(err))
	}
	p.logger.Info("created")
	return nil
}

// content is what the Secret should hold.
func (p *PullSecret) content() ([]byte, error) {
	username, password, err := credential.ReadPair(p.options.UsernameFile, p.options.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("read what nodes pull with: %w", err)
	}
	// Kubelet finds credentials by what an image's name begins with.
	return render.DockerConfig(opi.Image{
		Reference:   p.options.PullAddress + "/droplet",
		Credentials: &opi.RegistryCredentials{Username: username, Password: password},
	})
}
