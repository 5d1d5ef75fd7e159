package render

import (
	corev1 "k8s.io/api/core/v1"
)

// SSHRoute returns an LRP's route for SSH from its Secret, empty if it has none.
func SSHRoute(secret *corev1.Secret) []byte { return secret.Data[secretKeySSHRoute] }
