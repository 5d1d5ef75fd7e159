//go:build controlplane

package controlplane_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	k8sjob "github.com/irene-cf/irene/k8s/job"

	"github.com/irene-cf/irene/fixtures/controlplane"
)

// What irene's own account may not do, even if irene were somebody else's.
var _ = Describe("Irene's account", Ordered, func() {
	var (
		intruder kubernetes.Interface
		dry      = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	)
	BeforeAll(func() {
		config := rest.CopyConfig(apiConfig)
		config.Impersonate = rest.ImpersonationConfig{UserName: controlplane.AccountName}
		var err error
		intruder, err = kubernetes.NewForConfig(config)
		Expect(err).NotTo(HaveOccurred())
	})

	// pod is as irene makes them.
	pod := func(spoil func(*corev1.PodSpec)) corev1.PodTemplateSpec {
		spec := corev1.PodSpec{
			AutomountServiceAccountToken: ptr.To(false),
			RestartPolicy:                corev1.RestartPolicyNever,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{Name: "c", Image: "127.0.0.1:1/c", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}}},
		}
		if spoil != nil {
			spoil(&spec)
		}
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "fence"}}, Spec: spec}
	}
	job := func(ctx context.Context, namespace string, spoil func(*corev1.PodSpec)) error {
		_, err := intruder.BatchV1().Jobs(namespace).Create(ctx, &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: "fence"}, Spec: batchv1.JobSpec{Template: pod(spoil)},
		}, dry)
		return err
	}
	statefulSet := func(ctx context.Context, namespace string, spoil func(*corev1.PodSpec)) error {
		template := pod(spoil)
		template.Spec.RestartPolicy = corev1.RestartPolicyAlways
		_, err := intruder.AppsV1().StatefulSets(namespace).Create(ctx, &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: "fence"},
			Spec:       appsv1.StatefulSetSpec{Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template},
		}, dry)
		return err
	}

	annotatedSet := func(ctx context.Context, annotations map[string]string) error {
		template := pod(nil)
		template.Spec.RestartPolicy, template.Annotations = corev1.RestartPolicyAlways, annotations
		_, err := intruder.AppsV1().StatefulSets(common.Namespace).Create(ctx, &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: "fence"},
			Spec:       appsv1.StatefulSetSpec{Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template},
		}, dry)
		return err
	}

	It("creates what irene creates", func(ctx context.Context) {
		Expect(job(ctx, common.Namespace, nil)).To(Succeed())
		Expect(statefulSet(ctx, common.Namespace, nil)).To(Succeed())
		By("root, in a user namespace")
		Expect(job(ctx, common.Namespace, func(p *corev1.PodSpec) {
			p.SecurityContext.RunAsNonRoot, p.HostUsers = nil, ptr.To(false)
		})).To(Succeed())
		By("a Job that doesn't wait for a lost node")
		Expect(job(ctx, common.Namespace, func(p *corev1.PodSpec) { p.Tolerations = k8sjob.TolerateLostNode(time.Minute) })).To(Succeed())
		By("a pod that resolves names of the platform")
		Expect(statefulSet(ctx, common.Namespace, func(p *corev1.PodSpec) {
			p.HostAliases, p.DNSPolicy = []corev1.HostAlias{{IP: "192.0.2.10", Hostnames: []string{"uaa.service.cf.internal"}}}, corev1.DNSNone
			p.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.53"}}
		})).To(Succeed())
		By("annotations of its own, and those that users may set")
		Expect(annotatedSet(ctx, map[string]string{"cloudfoundry.org/version": "1", "irene.cloudfoundry.org/x": "y", "prometheus.io/port": "1"})).To(Succeed())
	}, patience)

	DescribeTable("sets no annotation that others in the cluster obey", func(ctx context.Context, key string) {
		Expect(annotatedSet(ctx, map[string]string{key: "x"})).To(MatchError(ContainSubstring("annotations of irene's own")))
	},
		Entry("another network", patience, "k8s.v1.cni.cncf.io/networks"),
		Entry("another kernel", patience, "io.katacontainers.config.hypervisor.kernel_params"),
		Entry("a cloud identity", patience, "iam.amazonaws.com/role"),
		Entry("no sidecar of the mesh", patience, "sidecar.istio.io/inject"),
		Entry("a domain that begins like an allowed one", patience, "prometheus.io.example/port"),
		Entry("no domain", patience, "prometheus.io"),
	)

	It("makes no claims, and has none deleted", func(ctx context.Context) {
		template := pod(nil)
		template.Spec.RestartPolicy = corev1.RestartPolicyAlways
		set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "fence"}, Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template,
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType, WhenScaled: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
		}}
		_, err := intruder.AppsV1().StatefulSets(common.Namespace).Create(ctx, set, dry)
		Expect(err).To(MatchError(ContainSubstring("persistentVolumeClaimRetentionPolicy")))
		set.Spec.PersistentVolumeClaimRetentionPolicy = nil
		set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
			ObjectMeta: metav1.ObjectMeta{Name: "somebodys"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		}}
		_, err = intruder.AppsV1().StatefulSets(common.Namespace).Create(ctx, set, dry)
		Expect(err).To(MatchError(ContainSubstring("volumeClaimTemplates")))
	}, patience)

	It("still scales and moves an app with annotations that it may not set any more", func(ctx context.Context) {
		template := pod(nil)
		template.Spec.RestartPolicy = corev1.RestartPolicyAlways
		template.Annotations = map[string]string{"example.org/from-before": "x"}
		set, err := api.AppsV1().StatefulSets(common.Namespace).Create(ctx, &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "fence-"},
			Spec: appsv1.StatefulSetSpec{
				Replicas: ptr.To(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template,
			},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) {
			Expect(api.AppsV1().StatefulSets(common.Namespace).Delete(ctx, set.Name, metav1.DeleteOptions{})).To(Succeed())
		})
		patch := func(text string) error {
			_, err := intruder.AppsV1().StatefulSets(common.Namespace).Patch(ctx, set.Name, types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{})
			return err
		}
		Expect(patch(`{"spec":{"replicas":0,"template":{"spec":{"containers":[{"name":"c","image":"127.0.0.1:1/d"}]}}}}`)).To(Succeed())
		Expect(patch(`{"spec":{"template":{"metadata":{"annotations":{"example.org/from-before":"y"}}}}}`)).
			To(MatchError(ContainSubstring("annotations of irene's own")))
	}, patience)

	DescribeTable("creates nothing that reaches further", func(ctx context.Context, want string, spoil func(*corev1.PodSpec)) {
		Expect(job(ctx, common.Namespace, spoil)).To(MatchError(ContainSubstring(want)))
		Expect(statefulSet(ctx, common.Namespace, spoil)).To(MatchError(ContainSubstring(want)))
	},
		Entry("privileged", patience, "unprivileged", func(p *corev1.PodSpec) {
			p.Containers[0].SecurityContext.Privileged, p.Containers[0].SecurityContext.AllowPrivilegeEscalation = ptr.To(true), nil
		}),
		Entry("with a capability, in an init container", patience, "capabilities", func(p *corev1.PodSpec) {
			added := *p.Containers[0].DeepCopy()
			added.Name, added.SecurityContext.Capabilities.Add = "i", []corev1.Capability{"NET_ADMIN"}
			p.InitContainers = []corev1.Container{added}
		}),
		Entry("without dropping capabilities", patience, "capabilities", func(p *corev1.PodSpec) {
			p.Containers[0].SecurityContext.Capabilities = nil
		}),
		Entry("a folder of the node", patience, "folders of the node", func(p *corev1.PodSpec) {
			p.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		}),
		Entry("a service account token as a file", patience, "service account tokens", func(p *corev1.PodSpec) {
			p.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}},
			}}}}
		}),
		Entry("the account's own token", patience, "automountServiceAccountToken", func(p *corev1.PodSpec) { p.AutomountServiceAccountToken = nil }),
		Entry("another service account", patience, "service account", func(p *corev1.PodSpec) { p.ServiceAccountName = "admin" }),
		Entry("the node's network", patience, "hostNetwork", func(p *corev1.PodSpec) { p.HostNetwork = true }),
		Entry("the node's processes", patience, "hostPID", func(p *corev1.PodSpec) { p.HostPID = true }),
		Entry("root", patience, "runAsNonRoot", func(p *corev1.PodSpec) { p.SecurityContext.RunAsNonRoot = nil }),
		Entry("all system calls", patience, "seccompProfile", func(p *corev1.PodSpec) {
			p.SecurityContext.SeccompProfile.Type = corev1.SeccompProfileTypeUnconfined
		}),
		Entry("a node of its choice", patience, "nodeName", func(p *corev1.PodSpec) { p.NodeName = "fake-0" }),
		Entry("a priority over others", patience, "priorityClassName", func(p *corev1.PodSpec) { p.PriorityClassName = "system-node-critical" }),
		Entry("a node that is kept free", patience, "tolerated", func(p *corev1.PodSpec) {
			p.Tolerations = []corev1.Toleration{{Key: "node-role.kubernetes.io/control-plane", Operator: corev1.TolerationOpExists}}
		}),
		Entry("every node", patience, "tolerated", func(p *corev1.PodSpec) {
			p.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}),
		Entry("no security at all", patience, "runAsNonRoot", func(p *corev1.PodSpec) { p.SecurityContext = nil }),
	)

	It("gets no other account's token by a Secret", func(ctx context.Context) {
		_, err := intruder.CoreV1().Secrets(common.Namespace).Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "fence", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
			Type:       corev1.SecretTypeServiceAccountToken,
		}, dry)
		Expect(err).To(MatchError(ContainSubstring("no Secrets of this type")))
	}, patience)

	It("writes only where restricted Pod Security is enforced, whatever roles it were given", func(ctx context.Context) {
		lax, err := api.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "lax-"}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		account.Admit(ctx, lax.Name)
		Expect(job(ctx, lax.Name, nil)).To(MatchError(ContainSubstring("enforce restricted Pod Security")))
	}, patience)

	It("has no rights in other namespaces, and none on nodes but to see them", func(ctx context.Context) {
		_, err := intruder.CoreV1().Secrets("kube-system").List(ctx, metav1.ListOptions{})
		Expect(err).To(MatchError(ContainSubstring("cannot list resource \"secrets\"")))
		_, err = intruder.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(intruder.CoreV1().Nodes().Delete(ctx, "fake-0", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})).
			To(MatchError(ContainSubstring("cannot delete resource \"nodes\"")))
		_, err = intruder.CoreV1().Pods(common.Namespace).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "fence"}, Spec: pod(nil).Spec}, dry)
		Expect(err).To(MatchError(ContainSubstring("cannot create resource \"pods\"")))
	}, patience)
})
