//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

const (
	zoneLabel    = corev1.LabelTopologyZone
	segmentLabel = "cloudfoundry.org/isolation-segment"
	guidLabel    = "cloudfoundry.org/guid"
	nodeLeases   = "kube-node-lease"
	// heartbeat keeps nodes from being taken for lost (see the suite's set-up).
	heartbeat = 5 * time.Second
)

// kubelet stands in for the kubelets of some nodes, so that pods there really answer:
// each gets an address of loopback, on which the ports of its container are served.
// A pod that is deleted serves through its preStop sleep, then takes no more
// connections and finishes what is under way; after that its address may belong to
// another pod at once.
type kubelet struct {
	namespace string
	// segment is the isolation segment of the nodes, nodes are their names.
	segment string
	nodes   []string
	// network has the pods' addresses.
	network string
	// port is one on which every pod can listen.
	port int

	// reportsEnds is whether a pod's last status says how its container ended. It is set
	// before there are pods.
	reportsEnds bool

	life    context.Context
	running sync.WaitGroup
	// left are addresses whose pods are gone.
	left chan string

	mutex sync.Mutex
	pods  map[types.UID]*loopbackPod
	used  int
	heirs map[string]bool
}

// newKubelet makes nodes in a segment and a zone each of their own (zone-0, …) and
// keeps them until the spec ends.
func newKubelet(ctx context.Context, namespace string, nodes int) *kubelet {
	GinkgoHelper()
	// A port that nobody has on any address, not even on all of them.
	listener, err := net.Listen("tcp4", ":0")
	Expect(err).NotTo(HaveOccurred())
	port := listener.Addr().(*net.TCPAddr).Port
	Expect(listener.Close()).To(Succeed())

	life, end := context.WithCancel(context.Background())
	k := &kubelet{
		namespace: namespace, segment: "loopback-" + cloudcontroller.NewGUID()[:8],
		network: fmt.Sprintf("127.%d.%d", 16+port>>8&0x7f, port&0xff), port: port,
		life: life, left: make(chan string, 1000), pods: map[types.UID]*loopbackPod{}, heirs: map[string]bool{},
	}
	for i := range nodes {
		node := newSilentNodeIn(ctx, k.segment, fmt.Sprintf("%s-%d", k.segment, i))
		k.nodes = append(k.nodes, node.name)
		k.beat(ctx, node.name)
		k.running.Go(func() { k.live(node.name) })
		k.change(ctx, node.name, fmt.Sprintf(`{"metadata":{"labels":{%q:"zone-%d"}}}`, zoneLabel, i))
	}
	factory := informers.NewSharedInformerFactoryWithOptions(api, 0, informers.WithNamespace(namespace))
	_, err = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { k.seen(obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { k.seen(obj.(*corev1.Pod)) },
		DeleteFunc: k.gone,
	})
	Expect(err).NotTo(HaveOccurred())
	factory.Start(life.Done())
	DeferCleanup(func(ctx context.Context) {
		k.clear(ctx)
		end()
		factory.Shutdown()
		k.running.Wait()
	})
	return k
}

// app is an app for these nodes with one route to their port, <name>.example.com.
func (k *kubelet) app(name string, instances int) cloudcontroller.Desire {
	return app(name).With("instances", instances).With("placement_tags", []string{k.segment}).
		With("ports", []int{k.port}).Routes(name+".example.com", k.port)
}

// heir is an app whose pods wait for addresses that pods of others leave from now on,
// and have them at once.
func (k *kubelet) heir(name string, instances int) cloudcontroller.Desire {
	d := k.app(name, instances)
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.heirs[d.GUID()] = true
	for {
		select {
		case <-k.left:
		default:
			return d
		}
	}
}

// cordon says whether a node takes no more pods.
func (k *kubelet) cordon(ctx context.Context, node string, cordoned bool) {
	GinkgoHelper()
	k.change(ctx, node, fmt.Sprintf(`{"spec":{"unschedulable":%t}}`, cordoned))
}

func (k *kubelet) change(ctx context.Context, node, patch string) {
	GinkgoHelper()
	_, err := api.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	Expect(err).NotTo(HaveOccurred())
}

// beat makes the node's Lease.
func (k *kubelet) beat(ctx context.Context, node string) {
	GinkgoHelper()
	_, err := api.CoordinationV1().Leases(nodeLeases).Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: node},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &node, LeaseDurationSeconds: ptr.To(int32(40)),
			RenewTime: ptr.To(metav1.NowMicro())},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx context.Context) error {
		return api.CoordinationV1().Leases(nodeLeases).Delete(ctx, node, metav1.DeleteOptions{})
	})
}

// live renews the node's Lease.
func (k *kubelet) live(node string) {
	defer GinkgoRecover()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-k.life.Done():
			return
		case <-ticker.C:
		}
		patch := fmt.Sprintf(`{"spec":{"renewTime":%q}}`, time.Now().UTC().Format(metav1.RFC3339Micro))
		_, err := api.CoordinationV1().Leases(nodeLeases).Patch(k.life, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		if k.life.Err() == nil {
			Expect(err).NotTo(HaveOccurred())
		}
	}
}

// clear removes everything from the namespace that the nodes would have to end.
func (k *kubelet) clear(ctx context.Context) {
	sets, pods := api.AppsV1().StatefulSets(k.namespace), api.CoreV1().Pods(k.namespace)
	Eventually(func(g Gomega) {
		g.Expect(sets.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})).To(Succeed())
		g.Expect(pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}, metav1.ListOptions{})).To(Succeed())
		left, err := pods.List(ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(left.Items).To(BeEmpty())
	}).Should(Succeed())
}

// report writes the status of a pod unless it is gone.
func (k *kubelet) report(ctx context.Context, p *loopbackPod, change func(*corev1.PodStatus)) error {
	pods := api.CoreV1().Pods(k.namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		pod, err := pods.Get(ctx, p.name, metav1.GetOptions{})
		if err != nil || pod.UID != p.uid {
			return err
		}
		change(&pod.Status)
		_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		return fmt.Errorf("report the status of pod %s: %w", p.name, err)
	}
	return nil
}

// fresh is an address that no pod had before.
func (k *kubelet) fresh() string {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.used++
	return fmt.Sprintf("%s.%d", k.network, k.used)
}

// leave makes the address of a pod free for heirs.
func (k *kubelet) leave(address string) {
	if address != "" {
		k.left <- address
	}
}
