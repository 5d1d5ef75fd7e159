//go:build controlplane

package controlplane_test

import (
	"context"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
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

// pickyKubelet stands in for the kubelet of a node of its own. Images may be missing,
// or make apps that never get ready. It has no patience: a pod that could not pull
// waits for good. It also counts, event by event, how many instances were ready.
type pickyKubelet struct {
	*silentNode
	namespace string
	life      context.Context

	mutex   sync.Mutex
	missing map[string]bool // images that can't be pulled
	broken  map[string]bool // images that never get ready
	ready   map[string]map[types.UID]bool
	lowest  map[string]int
	most    map[string]int
}

func newPickyKubelet(ctx context.Context, namespace string) *pickyKubelet {
	GinkgoHelper()
	life, end := context.WithCancel(context.Background())
	k := &pickyKubelet{
		silentNode: newSilentNode(ctx), namespace: namespace, life: life,
		missing: map[string]bool{}, broken: map[string]bool{},
		ready: map[string]map[types.UID]bool{}, lowest: map[string]int{}, most: map[string]int{},
	}
	alive := &kubelet{life: life}
	alive.beat(ctx, k.name)
	var running sync.WaitGroup
	running.Go(func() { alive.live(k.name) })
	factory := informers.NewSharedInformerFactoryWithOptions(api, 0, informers.WithNamespace(namespace))
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { k.seen(obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { k.seen(obj.(*corev1.Pod)) },
		DeleteFunc: func(obj any) {
			if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = unknown.Obj
			}
			k.count(obj.(*corev1.Pod), false)
		},
	})
	Expect(err).NotTo(HaveOccurred())
	factory.Start(life.Done())
	DeferCleanup(func(ctx context.Context) {
		sets, pods := api.AppsV1().StatefulSets(namespace), api.CoreV1().Pods(namespace)
		Eventually(func(g Gomega) {
			on := metav1.ListOptions{FieldSelector: "spec.nodeName=" + k.name}
			left, err := pods.List(ctx, on)
			g.Expect(err).NotTo(HaveOccurred())
			for _, pod := range left.Items {
				if owner := metav1.GetControllerOf(&pod); owner != nil {
					_ = sets.Delete(ctx, owner.Name, metav1.DeleteOptions{})
				}
			}
			g.Expect(left.Items).To(BeEmpty())
		}).Should(Succeed())
		end()
		factory.Shutdown()
		running.Wait()
	})
	return k
}

// app is an app for this node, which has little time to start.
func (k *pickyKubelet) app(name string, instances int) cloudcontroller.Desire {
	return app(name).With("instances", instances).With("placement_tags", []string{k.segment}).With("start_timeout_ms", 1000)
}

// lose makes an image one that can't be pulled; find makes it a good one.
func (k *pickyKubelet) lose(image string) { k.set(k.missing, image, true) }
func (k *pickyKubelet) find(image string) { k.set(k.missing, image, false) }

// spoil makes apps of an image start and never get ready.
func (k *pickyKubelet) spoil(image string) { k.set(k.broken, image, true) }

func (k *pickyKubelet) set(images map[string]bool, image string, is bool) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	images[image] = is
}

// seen runs a pod, or ends it. The informer calls it.
func (k *pickyKubelet) seen(pod *corev1.Pod) {
	defer GinkgoRecover()
	k.count(pod, pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}))
	if pod.Spec.NodeName != k.name || k.life.Err() != nil {
		return
	}
	if pod.DeletionTimestamp != nil {
		err := api.CoreV1().Pods(k.namespace).Delete(k.life, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To(int64(0)), Preconditions: &metav1.Preconditions{UID: &pod.UID}})
		k.ignoreGone(err)
		return
	}
	if len(pod.Status.ContainerStatuses) > 0 {
		return
	}
	image := pod.Spec.Containers[0].Image
	k.mutex.Lock()
	missing, broken := k.missing[image], k.broken[image]
	k.mutex.Unlock()
	status := runs(time.Now(), true, !broken)
	if missing {
		status = waits("ErrImagePull", "failed to pull "+image+": not found", nil)
	}
	k.ignoreGone(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		held, err := api.CoreV1().Pods(k.namespace).Get(k.life, pod.Name, metav1.GetOptions{})
		if err != nil || held.UID != pod.UID {
			return err
		}
		status(&held.Status)
		_, err = api.CoreV1().Pods(k.namespace).UpdateStatus(k.life, held, metav1.UpdateOptions{})
		return err
	}))
}

func (k *pickyKubelet) ignoreGone(err error) {
	if !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && k.life.Err() == nil {
		Expect(err).NotTo(HaveOccurred())
	}
}

func (k *pickyKubelet) count(pod *corev1.Pod, ready bool) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	guid := pod.Labels[guidLabel]
	if k.ready[guid] == nil {
		k.ready[guid] = map[types.UID]bool{}
	}
	if ready {
		k.ready[guid][pod.UID] = true
	} else {
		delete(k.ready[guid], pod.UID)
	}
	count := len(k.ready[guid])
	k.lowest[guid], k.most[guid] = min(k.lowest[guid], count), max(k.most[guid], count)
}

// watchReady begins to count anew; the function tells the lowest and highest number of
// ready instances since.
func (k *pickyKubelet) watchReady(d cloudcontroller.Desire) func() (lowest, most int) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	now := len(k.ready[d.GUID()])
	k.lowest[d.GUID()], k.most[d.GUID()] = now, now
	return func() (int, int) {
		k.mutex.Lock()
		defer k.mutex.Unlock()
		return k.lowest[d.GUID()], k.most[d.GUID()]
	}
}
