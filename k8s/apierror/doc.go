// Package apierror turns errors of the Kubernetes API server into those of package opi, so
// that callers need not interpret Kubernetes' reasons.
//
// # Usage
//
//	if _, err := secrets.Create(ctx, secret, metav1.CreateOptions{}); err != nil {
//		return fmt.Errorf("create Secret %s: %w", secret.Name, apierror.Classify(err))
//	}
//
// The functions hold no state and are safe for concurrent use.
package apierror
