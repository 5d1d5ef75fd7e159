package render

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	imagereference "github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/opi"
)

// secret returns the Secret that holds the work's secret values. It is immutable and its
// name depends on its content, so that an LRP never meets values which an earlier,
// interrupted request had written.
func (s Settings) secret(name string, labels map[string]string, w work) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace,
			Name:      name,
			Labels:    labels,
		},
		Type:      w.secretType,
		Data:      w.secretData,
		Immutable: ptr.To(true),
	}
}

// secretContent returns what the name of a Secret is made of. It leaves out the route for
// SSH: callers send new keys with every request, and the keys that the LRP has stay valid.
func secretContent(data map[string][]byte, secretType corev1.SecretType) []byte {
	content := []byte(secretType)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if key == secretKeySSHRoute {
			continue
		}
		content = fmt.Appendf(content, "\x00%s\x00%d\x00%s", key, len(data[key]), data[key])
	}
	return content
}

// checkSecretSize refuses what Kubernetes would refuse, in words that name the
// limit (API server: 1 MiB over all values of a Secret).
func checkSecretSize(data map[string][]byte) error {
	total := 0
	for _, value := range data {
		total += len(value)
	}
	if total > corev1.MaxSecretSize {
		return opi.Invalid("environment", "all secret values and files together have %d bytes, more than the %d that one Secret holds", total, corev1.MaxSecretSize)
	}
	return nil
}

// DockerConfig returns the content of a pull secret for an image that has credentials.
func DockerConfig(image opi.Image) ([]byte, error) {
	named, err := imagereference.ParseDockerRef(image.Reference)
	if err != nil {
		return nil, fmt.Errorf("parse image reference: %w", err)
	}
	host := imagereference.Domain(named)
	if host == "docker.io" {
		// Docker Hub's credentials are looked up under this historical key.
		host = "https://index.docker.io/v1/"
	}
	type auth struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Auth     string `json:"auth"`
	}
	user, password := image.Credentials.Username, image.Credentials.Password
	return json.Marshal(map[string]map[string]auth{"auths": {host: {
		Username: user,
		Password: password,
		Auth:     base64.StdEncoding.EncodeToString([]byte(user + ":" + password)),
	}}})
}
