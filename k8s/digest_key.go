package k8s

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
)

const (
	// DigestKeySecret is the Secret in the app namespace that holds the [render.DigestKey].
	DigestKeySecret = "irene-digest-key"
	// digestKeyData is its only key.
	digestKeyData = "key"
)

// digestKey returns the key that all replicas share. The first call reads it, or makes it
// if there is none.
func (l *LRPs) digestKey(ctx context.Context) (render.DigestKey, error) {
	if known := l.key.Load(); known != nil {
		return *known, nil
	}
	key, err := l.readDigestKey(ctx)
	if apierrors.IsNotFound(err) {
		if err = l.makeDigestKey(ctx); err == nil || apierrors.IsAlreadyExists(err) {
			// What is stored counts: another replica may have been first.
			key, err = l.readDigestKey(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the key of digests, Secret %s: %w", DigestKeySecret, apierror.Classify(err))
	}
	l.key.Store(&key)
	return key, nil
}

func (l *LRPs) readDigestKey(ctx context.Context) (render.DigestKey, error) {
	secret, err := l.client.CoreV1().Secrets(l.settings.Namespace).Get(ctx, DigestKeySecret, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	key := secret.Data[digestKeyData]
	if len(key) < render.DigestKeyBytes {
		return nil, fmt.Errorf("its value %q has %d bytes, fewer than %d; delete the Secret, and a new one is made", digestKeyData, len(key), render.DigestKeyBytes)
	}
	return key, nil
}

func (l *LRPs) makeDigestKey(ctx context.Context) error {
	key := make([]byte, render.DigestKeyBytes)
	_, _ = rand.Read(key) // never fails
	_, err := l.client.CoreV1().Secrets(l.settings.Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: DigestKeySecret, Labels: map[string]string{keys.DigestKey: "true"}},
		Data:       map[string][]byte{digestKeyData: key},
		Immutable:  ptr.To(true),
	}, metav1.CreateOptions{})
	return err
}
