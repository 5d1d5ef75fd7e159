package render

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/opi"
)

// DigestKeyBytes is how long a [DigestKey] should be, at least.
const DigestKeyBytes = sha256.Size

// keyedDigest begins every request digest that was made with a key.
const keyedDigest = "hmac-sha256:"

// DigestKey makes the digests that stand on StatefulSets: that of the request, and the
// one in the name of the LRP's Secret. Both cover values that must stay secret, and many
// may read StatefulSets and pods. Without the key such a digest reveals nothing; a bare
// hash would let a reader try passwords until one fits, since everything else that it
// covers stands next to it.
//
// All replicas share one key. If it is lost, nothing breaks: a repeated request counts as one
// with other settings, and an LRP whose own Secret is lost as well is made again.
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
