package k8s

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// SSHRoute returns the LRP's [opi.LRP.SSHRoute], empty if it has none. It reads the LRP's
// Secret from the API server, since the view has no secret values.
func (l *LRPs) SSHRoute(ctx context.Context, id opi.LRPIdentifier) ([]byte, error) {
	found, err := l.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if found.Secret == "" {
		return nil, nil
	}
	secret, err := l.client.CoreV1().Secrets(found.Namespace).Get(ctx, found.Secret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the SSH route of LRP %s: read Secret %s: %w", id, found.Secret, apierror.Classify(err))
	}
	return render.SSHRoute(secret), nil
}
