//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// of selects what belongs to an LRP's guid, at any version; all of Irene's objects
// for an empty guid.
func of(guid string) metav1.ListOptions {
	if guid == "" {
		return metav1.ListOptions{LabelSelector: "cloudfoundry.org/source_type=APP"}
	}
	return metav1.ListOptions{LabelSelector: "cloudfoundry.org/guid=" + guid}
}

func (p *platform) statefulSets(ctx context.Context, guid string) []appsv1.StatefulSet {
	GinkgoHelper()
	list, err := api.AppsV1().StatefulSets(p.namespace).List(ctx, of(guid))
	Expect(err).NotTo(HaveOccurred())
	return list.Items
}

// statefulSet is the only one of the guid.
func (p *platform) statefulSet(ctx context.Context, guid string) appsv1.StatefulSet {
	GinkgoHelper()
	sets := p.statefulSets(ctx, guid)
	Expect(sets).To(HaveLen(1))
	return sets[0]
}

func (p *platform) pods(ctx context.Context, guid string) []corev1.Pod {
	GinkgoHelper()
	list, err := api.CoreV1().Pods(p.namespace).List(ctx, of(guid))
	Expect(err).NotTo(HaveOccurred())
	return list.Items
}

// podUIDs are the uids of pods that stay, by name.
func (p *platform) podUIDs(ctx context.Context, guid string) map[string]types.UID {
	GinkgoHelper()
	uids := map[string]types.UID{}
	for _, pod := range p.pods(ctx, guid) {
		if pod.DeletionTimestamp == nil {
			uids[pod.Name] = pod.UID
		}
	}
	return uids
}

func (p *platform) secrets(ctx context.Context, guid string) []corev1.Secret {
	GinkgoHelper()
	list, err := api.CoreV1().Secrets(p.namespace).List(ctx, of(guid))
	Expect(err).NotTo(HaveOccurred())
	return list.Items
}

// secretNames are the names of the guid's Secrets.
func (p *platform) secretNames(ctx context.Context, guid string) []string {
	GinkgoHelper()
	names := []string{}
	for _, secret := range p.secrets(ctx, guid) {
		names = append(names, secret.Name)
	}
	return names
}

func (p *platform) budgets(ctx context.Context, guid string) []policyv1.PodDisruptionBudget {
	GinkgoHelper()
	list, err := api.PolicyV1().PodDisruptionBudgets(p.namespace).List(ctx, of(guid))
	Expect(err).NotTo(HaveOccurred())
	return list.Items
}

// nothingOf is that no object of the guid is left.
func (p *platform) nothingOf(ctx context.Context, guid string) func(Gomega) {
	return func(g Gomega) {
		for kind, count := range map[string]int{
			"StatefulSets": len(p.statefulSets(ctx, guid)),
			"pods":         len(p.pods(ctx, guid)),
			"Secrets":      len(p.secrets(ctx, guid)),
			"budgets":      len(p.budgets(ctx, guid)),
		} {
			g.Expect(count).To(BeZero(), kind)
		}
	}
}

// age makes a Secret look as if no request had counted on it for long.
func (p *platform) age(ctx context.Context, secret string) {
	GinkgoHelper()
	patch := `{"metadata":{"annotations":{"irene.cloudfoundry.org/desired-at":"2020-01-01T00:00:00Z"}}}`
	_, err := api.CoreV1().Secrets(p.namespace).Patch(ctx, secret, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	// It may have been collected meanwhile.
	if !apierrors.IsNotFound(err) {
		Expect(err).NotTo(HaveOccurred())
	}
}

// values are the environment of the LRP's only StatefulSet with secret values
// looked up, as a container would get it; variables made of pod fields are left out.
func (p *platform) values(ctx context.Context, guid string) map[string]string {
	GinkgoHelper()
	values := map[string]string{}
	for _, variable := range container(p.statefulSet(ctx, guid)).Env {
		switch {
		case variable.ValueFrom == nil:
			values[variable.Name] = variable.Value
		case variable.ValueFrom.SecretKeyRef != nil:
			reference := variable.ValueFrom.SecretKeyRef
			secret, err := api.CoreV1().Secrets(p.namespace).Get(ctx, reference.Name, metav1.GetOptions{})
			Expect(err).NotTo(HaveOccurred())
			Expect(secret.Data).To(HaveKey(reference.Key))
			values[variable.Name] = string(secret.Data[reference.Key])
		}
	}
	return values
}

func container(set appsv1.StatefulSet) corev1.Container {
	GinkgoHelper()
	Expect(set.Spec.Template.Spec.Containers).To(HaveLen(1))
	return set.Spec.Template.Spec.Containers[0]
}

// heldRoutes are an LRP's routes in the words of the common irene.
func heldRoutes(ctx context.Context, d cloudcontroller.Desire) string {
	GinkgoHelper()
	answer, err := irene.Get(ctx, d.GUID(), d.Version())
	Expect(err).NotTo(HaveOccurred())
	Expect(answer).To(answered(200))
	var held struct {
		LRP struct {
			Routes json.RawMessage `json:"routes"`
		} `json:"desired_lrp"`
	}
	Expect(json.Unmarshal(answer.Body, &held)).To(Succeed())
	return string(held.LRP.Routes)
}

// app is a buildpack app with a secret in its environment.
func app(name string) cloudcontroller.Desire {
	return cloudcontroller.NewBuildpack(name).Env("DATABASE_URL", "postgres://user:"+cloudcontroller.NewGUID()+"@db/app")
}
