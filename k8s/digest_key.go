package k8s

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

const (
	// DigestKeySecret is the Secret in the app namespace that holds the DigestKey.
	DigestKeySecret = "irene-digest-key"
	// digestKeyData is its only key.
	digestKeyData = "key"
	// digestKeyBytes is how long a key is, at least.
	digestKeyBytes = sha256.Size
	// keyedDigest begins every request digest that was made with a key.
	keyedDigest = "hmac-sha256:"
)

// DigestKey makes the digests that stand on StatefulSets: that of the request, and the
// one in the name of the LRP's Secret. Both cover values that must stay secret, and many
// may read StatefulSets and pods. Without the key such a digest tells nothing; a bare
// hash would let a reader try passwords until one fits, since everything else that it
// covers stands beside it.
//
// All replicas share one key (LRPs keeps it in DigestKeySecret). If it is lost, nothing
// breaks: a repeated request counts as one with other settings, and an LRP whose own
// Secret is lost as well is made anew.
type DigestKey []byte

// request returns the digest of everything that a template is made from, so that a
// repeated request can be told from one that would need a new template.
func (k DigestKey) request(lrp opi.LRP) (string, error) {
	content, err := requestContent(lrp)
	if err != nil {
		return "", err
	}
	return keyedDigest + hex.EncodeToString(k.sum("request", content)), nil
}

// SameRequest reports whether the stored digest is of a request for the same template.
// Digests of releases that had no key are bare hashes; they stay for as long as their
// StatefulSets do.
func (k DigestKey) SameRequest(stored string, lrp opi.LRP) (bool, error) {
	content, err := requestContent(lrp)
	if err != nil {
		return false, err
	}
	if encoded, keyed := strings.CutPrefix(stored, keyedDigest); keyed {
		digest, err := hex.DecodeString(encoded)
		return err == nil && hmac.Equal(digest, k.sum("request", content)), nil
	}
	bare := sha256.Sum256(content)
	return stored == hex.EncodeToString(bare[:]), nil
}

// secretName returns the name of a Secret with this content for the StatefulSet of the
// given name.
func (k DigestKey) secretName(statefulSet string, data map[string][]byte, secretType corev1.SecretType) string {
	return statefulSet + "-" + hex.EncodeToString(k.sum("secret", secretContent(data, secretType)))[:nameSuffixBytes]
}

// SameSecret reports whether the Secret of this name, which the named StatefulSet refers
// to, had the content of secret. Releases that had no key made names of bare hashes.
func (k DigestKey) SameSecret(name, statefulSet string, secret *corev1.Secret) bool {
	former := statefulSet + "-" + shortDigest(secretContent(secret.Data, secret.Type))
	return name == k.secretName(statefulSet, secret.Data, secret.Type) || name == former
}

// sum keeps digests of different things apart.
func (k DigestKey) sum(what string, content []byte) []byte {
	mac := hmac.New(sha256.New, k)
	_, _ = mac.Write([]byte(what + "\x00")) // a Hash never fails
	_, _ = mac.Write(content)
	return mac.Sum(nil)
}

// digestKey returns the key that all replicas share. The first call reads it, or makes it
// if there is none.
func (l *LRPs) digestKey(ctx context.Context) (DigestKey, error) {
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
		return nil, fmt.Errorf("read the key of digests, Secret %s: %w", DigestKeySecret, classify(err))
	}
	l.key.Store(&key)
	return key, nil
}

func (l *LRPs) readDigestKey(ctx context.Context) (DigestKey, error) {
	secret, err := l.Client.CoreV1().Secrets(l.Translation.Namespace).Get(ctx, DigestKeySecret, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	key := secret.Data[digestKeyData]
	if len(key) < digestKeyBytes {
		return nil, fmt.Errorf("its value %q has %d bytes, fewer than %d; delete the Secret, and a new one is made", digestKeyData, len(key), digestKeyBytes)
	}
	return key, nil
}

func (l *LRPs) makeDigestKey(ctx context.Context) error {
	key := make([]byte, digestKeyBytes)
	_, _ = rand.Read(key) // never fails
	_, err := l.Client.CoreV1().Secrets(l.Translation.Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: DigestKeySecret, Labels: map[string]string{keys.DigestKey: "true"}},
		Data:       map[string][]byte{digestKeyData: key},
		Immutable:  ptr.To(true),
	}, metav1.CreateOptions{})
	return err
}
