//go:build controlplane

package controlplane_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	// chartObjects is what the Helm chart makes of its defaults.
	chartObjects = "../../../../deploy/helm/testdata/minimal.golden.yaml"
	// account is irene's own, as whom all irenes of this suite act.
	account = "system:serviceaccount:irene:irene"
)

// chartRoles are the chart's namespaced roles of the account, with their bindings.
var chartRoles []runtime.Object

// installAccount gives irene's account what the chart gives it outside of namespaces,
// and puts up the chart's fence around it.
func installAccount(ctx context.Context) {
	GinkgoHelper()
	content, err := os.ReadFile(chartObjects)
	Expect(err).NotTo(HaveOccurred())
	for document := range strings.SplitSeq(string(content), "\n---\n") {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(document), nil, nil)
		Expect(err).NotTo(HaveOccurred(), document)
		if object.(metav1.Object).GetAnnotations()["helm.sh/hook"] != "" {
			continue
		}
		options := metav1.CreateOptions{}
		switch object := object.(type) {
		case *rbacv1.Role, *rbacv1.RoleBinding:
			chartRoles = append(chartRoles, object)
		case *rbacv1.ClusterRole:
			_, err = api.RbacV1().ClusterRoles().Create(ctx, object, options)
		case *rbacv1.ClusterRoleBinding:
			_, err = api.RbacV1().ClusterRoleBindings().Create(ctx, object, options)
		case *admissionv1.ValidatingAdmissionPolicy:
			_, err = api.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(ctx, object, options)
		case *admissionv1.ValidatingAdmissionPolicyBinding:
			_, err = api.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(ctx, object, options)
		case *flowcontrolv1.PriorityLevelConfiguration:
			_, err = api.FlowcontrolV1().PriorityLevelConfigurations().Create(ctx, object, options)
		case *flowcontrolv1.FlowSchema:
			_, err = api.FlowcontrolV1().FlowSchemas().Create(ctx, object, options)
		}
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(chartRoles).To(HaveLen(4), "two roles and their bindings")
}

// admitAccount gives irene's account the chart's rights in a namespace for apps, which
// here has the leader's Lease, too.
func admitAccount(ctx context.Context, namespace string) {
	GinkgoHelper()
	for _, object := range chartRoles {
		var err error
		switch object := object.DeepCopyObject().(type) {
		case *rbacv1.Role:
			object.Namespace = namespace
			_, err = api.RbacV1().Roles(namespace).Create(ctx, object, metav1.CreateOptions{})
		case *rbacv1.RoleBinding:
			object.Namespace = namespace
			_, err = api.RbacV1().RoleBindings(namespace).Create(ctx, object, metav1.CreateOptions{})
		}
		Expect(err).NotTo(HaveOccurred())
	}
	for _, resource := range []authorizationv1.ResourceAttributes{
		{Verb: "list", Group: "apps", Resource: "statefulsets"},
		{Verb: "create", Group: "coordination.k8s.io", Resource: "leases"},
	} {
		resource.Namespace = namespace
		Eventually(func() (bool, error) {
			review, err := api.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: account, ResourceAttributes: &resource},
			}, metav1.CreateOptions{})
			return err == nil && review.Status.Allowed, err
		}).Should(BeTrue())
	}
}

// asIrene is the kubeconfig with which one becomes irene's account.
func asIrene(kubeconfig string) string {
	GinkgoHelper()
	config, err := clientcmd.LoadFromFile(kubeconfig)
	Expect(err).NotTo(HaveOccurred())
	current := config.Contexts[config.CurrentContext]
	if current.AuthInfo == "" {
		current.AuthInfo = "irene"
		config.AuthInfos[current.AuthInfo] = clientcmdapi.NewAuthInfo()
	}
	config.AuthInfos[current.AuthInfo].Impersonate = account
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(*config, path)).To(Succeed())
	return path
}

// denial is a line of irene's log that tells of a right that the account lacks, or of
// the fence.
var denial = regexp.MustCompile(`.*(` + account + `\\*" cannot |ValidatingAdmissionPolicy).*`)

// expectNoDenials fails the spec in which there was one.
func (p *platform) expectNoDenials() {
	GinkgoHelper()
	Expect(denial.FindString(p.log.String())).To(BeEmpty())
}
