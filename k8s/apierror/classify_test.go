package apierror_test

import (
	"fmt"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/opi"
)

// App developers read what the API server has against an app, without the names of
// objects and fields.
func TestMessagesOfTheAPIServersRefusals(t *testing.T) {
	statefulSet := schema.GroupKind{Group: "apps", Kind: "StatefulSet"}
	webhook := apierrors.NewBadRequest(`admission webhook "validate.kyverno.svc" denied the request: images come from our registry`)
	policy := apierrors.NewInvalid(statefulSet, "app-space-1a2b", nil)
	policy.ErrStatus.Message = `statefulsets.apps "app-space-1a2b" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'all' denied request: at most 2 GiB`
	for message, err := range map[string]error{
		`Kubernetes refuses it: Invalid value: "x y": has a space`: apierrors.NewInvalid(statefulSet, "app-space-1a2b", field.ErrorList{
			field.Invalid(field.NewPath("spec", "template"), "x y", "has a space"),
			field.Invalid(field.NewPath("spec", "other"), "x y", "has a space"),
		}),
		"Kubernetes refuses it: images come from our registry": webhook,
		"Kubernetes refuses it: at most 2 GiB":                 policy,
		"Kubernetes refuses it: it is too large":               apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
		"Kubernetes refuses it":                                apierrors.NewBadRequest("statefulsets app-space-1a2b: etcdserver: request is too large"),
	} {
		t.Run(message, func(t *testing.T) {
			g := NewWithT(t)
			classified := apierror.Classify(fmt.Errorf("create: %w", err))
			g.Expect(classified).To(MatchError(opi.ErrRefused))
			g.Expect(opi.Message(classified)).To(Equal(message))
		})
	}
	g := NewWithT(t)
	away := apierror.Classify(apierrors.NewGenericServerResponse(http.StatusBadGateway, "POST", schema.GroupResource{}, "", "", 0, true))
	g.Expect(away).To(MatchError(opi.ErrUnavailable))
	g.Expect(opi.Message(away)).To(BeEmpty())
	g.Expect(apierror.Classify(&apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden}})).
		NotTo(Or(MatchError(opi.ErrRefused), MatchError(opi.ErrUnavailable)))
}
