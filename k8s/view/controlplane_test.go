//go:build controlplane

package view_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

const staleAfter = 6 * time.Second

func TestControlPlane(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	RunSpecs(t, "The view against a real API server")
}

var (
	kube      *cluster
	client    kubernetes.Interface
	namespace string
)

var _ = BeforeSuite(func(ctx SpecContext) {
	kube = &cluster{dir: GinkgoT().TempDir()}
	kube.start()
	DeferCleanup(func() { kube.stop() })
	client = kube.API
	var err error
	namespace, err = controlplane.NewNamespace(ctx, client, "cf-workloads-", nil)
	Expect(err).NotTo(HaveOccurred())
})

// run starts a view that ends with the spec.
func run(config *rest.Config) *view.View {
	GinkgoHelper()
	v := view.New(view.Options{
		Client:     kubernetes.NewForConfigOrDie(config),
		Metadata:   metadata.NewForConfigOrDie(config),
		Namespace:  namespace,
		StaleAfter: staleAfter,
		Logger:     lagertest.NewTestLogger("view"),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	DeferCleanup(func() {
		cancel()
		Eventually(done).Should(Receive(BeNil()))
	})
	return v
}

func labelsOf(id opi.LRPIdentifier) map[string]string {
	return map[string]string{keys.GUID: id.GUID, keys.Version: id.Version, keys.SourceType: keys.SourceTypeApp}
}

func newSet(id opi.LRPIdentifier, replicas int32) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: id.GUID, Labels: labelsOf(id)},
		Spec: appsv1.StatefulSetSpec{
			Replicas:            &replicas,
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector:            &metav1.LabelSelector{MatchLabels: labelsOf(id)},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labelsOf(id)},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: keys.AppContainer, Image: "app"}}},
			},
		},
	}
}

func create(ctx context.Context, set *appsv1.StatefulSet) *appsv1.StatefulSet {
	GinkgoHelper()
	created, err := client.AppsV1().StatefulSets(namespace).Create(ctx, set, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return created
}

func annotate(ctx context.Context, name, value string) *appsv1.StatefulSet {
	GinkgoHelper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, keys.LastUpdated, value)
	patched, err := client.AppsV1().StatefulSets(namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	Expect(err).NotTo(HaveOccurred())
	return patched
}

func remove(ctx context.Context, name string) {
	GinkgoHelper()
	Expect(client.AppsV1().StatefulSets(namespace).Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
}

func identities(v *view.View) func() []opi.LRPIdentifier {
	return func() (ids []opi.LRPIdentifier) {
		for _, lrp := range v.LRPs() {
			ids = append(ids, lrp.LRPIdentifier)
		}
		return ids
	}
}

func annotationOf(v *view.View, id opi.LRPIdentifier) func() string {
	return func() string {
		lrp, _ := v.LRP(id)
		return lrp.Annotation
	}
}

func atLeast(version, other string) bool {
	order, err := resourceversion.CompareResourceVersion(version, other)
	Expect(err).NotTo(HaveOccurred())
	return order >= 0
}

var _ = Describe("The view", Label("control-plane"), Serial, func() {
	var id opi.LRPIdentifier

	BeforeEach(func() {
		id = opi.LRPIdentifier{GUID: fmt.Sprintf("app-%d", time.Now().UnixNano()), Version: "v1"}
	})

	AfterEach(func(ctx SpecContext) {
		policy := metav1.DeletePropagationForeground
		Expect(client.AppsV1().StatefulSets(namespace).DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: &policy}, metav1.ListOptions{})).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			sets, err := client.AppsV1().StatefulSets(namespace).List(ctx, metav1.ListOptions{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(sets.Items).To(BeEmpty())
		}).Should(Succeed())
	})

	It("lists what is there and follows what comes", func(ctx SpecContext) {
		create(ctx, newSet(id, 2))
		v := run(kube.Config)
		Eventually(ctx, v.Fresh).Should(Succeed())
		Expect(v.Synced()).To(BeTrue())
		lrp, found := v.LRP(id)
		Expect(found).To(BeTrue())
		Expect(lrp.Instances).To(Equal(2))
		Eventually(ctx, func() []opi.Instance { return v.Instances(lrp) }).Should(HaveExactElements(
			And(HaveField("Index", 0), HaveField("State", opi.InstanceRunning), HaveField("Cell", "fake-0"), HaveField("Routable", true)),
			And(HaveField("Index", 1), HaveField("State", opi.InstanceRunning)),
		))
		node, known := v.Node("fake-0")
		Expect(known).To(BeTrue())
		Expect(node.Zone).To(Equal("z0"))
		Expect(node.Ready.True()).To(BeTrue())
		annotate(ctx, id.GUID, "later")
		Eventually(ctx, annotationOf(v, id)).Should(Equal("later"))
		remove(ctx, id.GUID)
		Eventually(ctx, identities(v)).Should(BeEmpty())
		Eventually(ctx, func() []view.Pod { return v.Pods(lrp.UID) }).Should(BeEmpty())
	})

	It("takes the metadata of Secrets only, and leaves LRPs out whose Secret is gone", func(ctx SpecContext) {
		v := run(kube.Config)
		Eventually(ctx, v.Fresh).Should(Succeed())
		secret, err := client.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: id.GUID, Labels: labelsOf(id)},
			StringData: map[string]string{"password": "open sesame"},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		set := newSet(id, 1)
		metav1.SetMetaDataAnnotation(&set.ObjectMeta, keys.Secret, secret.Name)
		create(ctx, set)
		Eventually(ctx, identities(v)).Should(ConsistOf(id))
		Expect(v.Secrets(id)).To(ConsistOf(And(HaveField("UID", secret.UID), HaveField("ResourceVersion", secret.ResourceVersion))))
		Expect(client.CoreV1().Secrets(namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{})).To(Succeed())
		Eventually(ctx, identities(v)).Should(BeEmpty())
		Expect(v.Twins(id)).To(HaveLen(1))
	})

	It("knows how much it has been told of an LRP, deletions included", func(ctx SpecContext) {
		v, other := run(kube.Config), run(kube.Config)
		Eventually(ctx, v.Fresh).Should(Succeed())
		Eventually(ctx, other.Fresh).Should(Succeed())
		alike := func(g Gomega) view.Revision {
			revision := v.Revision(id)
			g.Expect(other.Revision(id)).To(Equal(revision))
			return revision
		}
		before := view.Revision{}
		grows := func() {
			GinkgoHelper()
			Eventually(ctx, func(g Gomega) {
				now := alike(g)
				g.Expect(now.LRP).To(BeNumerically(">", before.LRP))
				g.Expect(now.Instances).To(BeNumerically(">", before.Instances))
				before = now
			}).Should(Succeed())
		}
		set := newSet(id, 2)
		create(ctx, set)
		Eventually(ctx, func() int { lrp, _ := v.LRP(id); return len(v.Pods(lrp.UID)) }).Should(Equal(2))
		grows()
		_, err := client.AppsV1().StatefulSets(namespace).Patch(ctx, id.GUID, types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() int { lrp, _ := v.LRP(id); return len(v.Pods(lrp.UID)) }).Should(BeZero())
		grows()
		remove(ctx, id.GUID)
		Eventually(ctx, func(g Gomega) { g.Expect(alike(g).LRP).To(BeNumerically(">", before.LRP)) }).Should(Succeed())
	})

	It("does without nodes that it may not list, until it may", func(ctx SpecContext) {
		const user = "of-one-namespace"
		subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
		role := func(name string) rbacv1.RoleRef {
			return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
		}
		_, err := client.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: role("admin"), Subjects: subjects}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		config := rest.CopyConfig(kube.Config)
		config.Impersonate.UserName = user
		v := run(config)
		create(ctx, newSet(id, 1))
		Eventually(ctx, v.Synced).Should(BeTrue())
		Eventually(ctx, identities(v)).Should(ConsistOf(id))
		Expect(v.Fresh()).To(Succeed())
		Expect(v.Nodes()).To(BeEmpty())
		_, err = client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: role("system:node-proxier"), Subjects: subjects}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, v.Nodes).Should(HaveLen(1))
	})

	It("shows our own writes at once, while other clients write too", func(ctx SpecContext) {
		v := run(kube.Config)
		Eventually(ctx, v.Fresh).Should(Succeed())
		var writers sync.WaitGroup
		for writer := range 4 {
			writers.Go(func() {
				defer GinkgoRecover()
				own := opi.LRPIdentifier{GUID: fmt.Sprintf("%s-%d", id.GUID, writer), Version: "v1"}
				for round := range 10 {
					created := create(ctx, newSet(own, 0))
					v.NoteStatefulSet(created)
					lrp, found := v.LRP(own)
					Expect(found).To(BeTrue())
					Expect(lrp.UID).To(Equal(created.UID))
					// Another client's write, which is not noted, in between.
					annotate(ctx, own.GUID, "theirs")
					ours := annotate(ctx, own.GUID, strconv.Itoa(round))
					v.NoteStatefulSet(ours)
					lrp, _ = v.LRP(own)
					Expect(atLeast(lrp.ResourceVersion, ours.ResourceVersion)).To(BeTrue())
					Expect(lrp.Annotation).To(Equal(strconv.Itoa(round)))
					remove(ctx, own.GUID)
					v.NoteDeletedStatefulSet(created.UID)
					_, found = v.LRP(own)
					Expect(found).To(BeFalse())
				}
				v.NoteStatefulSet(create(ctx, newSet(own, 0)))
			})
		}
		writers.Wait()
		Expect(v.LRPs()).To(HaveLen(4))
		Consistently(ctx, identities(v)).WithTimeout(2 * time.Second).Should(HaveLen(4))
	})

	It("drops a write of ours that another client undid before the watch told of it", func(ctx SpecContext) {
		v := run(kube.Config)
		Eventually(ctx, v.Fresh).Should(Succeed())
		created := create(ctx, newSet(id, 0))
		Eventually(ctx, identities(v)).Should(ConsistOf(id))
		remove(ctx, id.GUID)
		Eventually(ctx, identities(v)).Should(BeEmpty())
		v.NoteStatefulSet(created)
		Expect(v.LRPs()).To(BeEmpty())
	})

	It("goes on after its connections are cut", func(ctx SpecContext) {
		gate, config := behindGate(kube.Config)
		v := run(config)
		Eventually(ctx, v.Fresh).Should(Succeed())
		create(ctx, newSet(id, 0))
		Eventually(ctx, identities(v)).Should(ConsistOf(id))
		for round := range 3 {
			gate.Cut()
			Expect(gate.Open()).To(Succeed())
			annotate(ctx, id.GUID, strconv.Itoa(round))
			Eventually(ctx, annotationOf(v, id)).Should(Equal(strconv.Itoa(round)))
		}
	})

	It("stays fresh while nothing happens at all", func(ctx SpecContext) {
		v := run(kube.Config)
		Eventually(ctx, v.Fresh).Should(Succeed())
		Consistently(ctx, v.Fresh).WithTimeout(3 * staleAfter).Should(Succeed())
	})

	It("says when it is stale, and catches up when the API server is back", func(ctx SpecContext) {
		v := run(kube.Config)
		Eventually(ctx, v.Fresh).Should(Succeed())
		create(ctx, newSet(id, 0))
		Eventually(ctx, identities(v)).Should(ConsistOf(id))

		kube.stop()
		Eventually(ctx, v.Fresh).Should(MatchError(opi.ErrUnavailable))
		Expect(identities(v)()).To(ConsistOf(id))

		kube.start()
		annotate(ctx, id.GUID, "after")
		Eventually(ctx, annotationOf(v, id)).Should(Equal("after"))
		Eventually(ctx, v.Fresh).Should(Succeed())
	})
})
