//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// requestTime is how long a loopback pod takes for a request, so that some are under
// way when it is told to end.
const requestTime = 5 * time.Millisecond

// loopbackPod is a pod that its kubelet has seen.
type loopbackPod struct {
	name string
	uid  types.UID
	// guid is the process guid's first part.
	guid  string
	ports []int32
	// sleep is the preStop hook's, grace what is left until SIGKILL.
	sleep, grace time.Duration
	identity     identity
	// began is when its container started.
	began time.Time
	// deleting is closed when the pod is being deleted, gone when it has been.
	deleting, gone chan struct{}

	mutex   sync.Mutex
	address string
	servers []*http.Server
}

// identity is what a loopback pod answers.
type identity struct {
	App, Instance string
}

// seen begins to run a pod of ours, or to end it. The informer calls it.
func (k *kubelet) seen(pod *corev1.Pod) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	p := k.pods[pod.UID]
	if p == nil {
		if !k.owns(pod.Spec.NodeName) {
			return
		}
		p = newLoopbackPod(pod)
		k.pods[pod.UID] = p
		k.running.Go(func() { k.run(p) })
	}
	if pod.DeletionTimestamp != nil {
		p.close(p.deleting)
	}
}

func (k *kubelet) owns(node string) bool {
	for _, name := range k.nodes {
		if name == node {
			return true
		}
	}
	return false
}

// gone ends a pod at once that has been deleted. The informer calls it.
func (k *kubelet) gone(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	k.mutex.Lock()
	p := k.pods[obj.(*corev1.Pod).UID]
	k.mutex.Unlock()
	if p != nil {
		p.close(p.gone)
	}
}

func newLoopbackPod(pod *corev1.Pod) *loopbackPod {
	container := pod.Spec.Containers[0]
	p := &loopbackPod{
		name: pod.Name, uid: pod.UID, guid: pod.Labels[guidLabel],
		grace:    time.Duration(ptr.Deref(pod.Spec.TerminationGracePeriodSeconds, 30)) * time.Second,
		identity: identity{App: pod.Annotations["cloudfoundry.org/application_name"], Instance: string(pod.UID)},
		began:    time.Now(),
		deleting: make(chan struct{}), gone: make(chan struct{}),
	}
	if container.Lifecycle != nil && container.Lifecycle.PreStop != nil {
		p.sleep = time.Duration(container.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	}
	p.grace -= p.sleep
	for _, port := range container.Ports {
		p.ports = append(p.ports, port.ContainerPort)
	}
	return p
}

func (p *loopbackPod) close(signal chan struct{}) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	select {
	case <-signal:
	default:
		close(signal)
	}
}

// run is the life of a pod.
func (k *kubelet) run(p *loopbackPod) {
	defer GinkgoRecover()
	if address := k.addressFor(p); address != "" {
		Expect(p.serve(address)).To(BeEmpty())
		// As a kubelet does: RUNNING once the startup check has passed, ready after
		// the readiness check.
		Expect(k.report(k.life, p, p.runs(false))).To(Succeed())
		Expect(k.report(k.life, p, p.runs(true))).To(Succeed())
	}
	select {
	case <-p.deleting:
		p.await(p.sleep)
	case <-p.gone:
	case <-k.life.Done():
	}
	k.leave(p.end())
	if k.life.Err() == nil {
		if k.reportsEnds {
			Expect(k.report(k.life, p, ended)).To(Succeed())
		}
		err := api.CoreV1().Pods(k.namespace).Delete(k.life, p.name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To(int64(0)), Preconditions: &metav1.Preconditions{UID: &p.uid}})
		if !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && k.life.Err() == nil {
			Expect(err).NotTo(HaveOccurred())
		}
	}
}

// ended is the status of a pod whose container ended as it was told to.
func ended(s *corev1.PodStatus) {
	if s.Phase == corev1.PodFailed || len(s.ContainerStatuses) == 0 {
		return
	}
	now := metav1.Now()
	s.Phase = corev1.PodFailed
	s.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 128 + 15, Reason: "Error", FinishedAt: now}}
	s.ContainerStatuses[0].Ready = false
	conditions(s, false)
}

// addressFor is a new address, or, for an heir, one that another pod left; "" when
// the pod ends before there is one.
func (k *kubelet) addressFor(p *loopbackPod) string {
	k.mutex.Lock()
	inherits := k.heirs[p.guid]
	k.mutex.Unlock()
	if !inherits {
		return k.fresh()
	}
	select {
	case address := <-k.left:
		return address
	case <-p.deleting:
	case <-p.gone:
	case <-k.life.Done():
	}
	return ""
}

// await waits for a while, unless the pod is gone before.
func (p *loopbackPod) await(duration time.Duration) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.gone:
	}
}

// runs is the status of the pod with a container that has started.
func (p *loopbackPod) runs(ready bool) func(*corev1.PodStatus) {
	p.mutex.Lock()
	address := p.address
	p.mutex.Unlock()
	return func(s *corev1.PodStatus) {
		runs(p.began, true, ready)(s)
		s.PodIP, s.PodIPs = address, []corev1.PodIP{{IP: address}}
	}
}

// serve takes requests at an address, and no longer at the one that it returns, where
// it did before.
func (p *loopbackPod) serve(address string) (before string, err error) {
	var servers []*http.Server
	for _, port := range p.ports {
		listener, err := net.Listen("tcp4", net.JoinHostPort(address, strconv.Itoa(int(port))))
		if err != nil {
			return "", err
		}
		server := &http.Server{Handler: p}
		servers = append(servers, server)
		go func() {
			defer GinkgoRecover()
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				Expect(err).NotTo(HaveOccurred())
			}
		}()
	}
	before = p.end()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.address, p.servers = address, servers
	return before, nil
}

// end does what an app does on SIGTERM, and on SIGKILL after its grace. It returns
// the address that the pod had, "" if it had none any more.
func (p *loopbackPod) end() (address string) {
	p.mutex.Lock()
	servers, address := p.servers, p.address
	p.servers, p.address = nil, ""
	p.mutex.Unlock()
	grace := p.grace
	select {
	case <-p.gone:
		grace = 0
	default:
	}
	limit, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for _, server := range servers {
		if server.Shutdown(limit) != nil {
			_ = server.Close()
		}
	}
	return address
}

// ServeHTTP says who answers.
func (p *loopbackPod) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	work := time.NewTimer(requestTime)
	defer work.Stop()
	select {
	case <-work.C:
	case <-r.Context().Done():
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.identity) // the client may be gone
}

// pod is the app's pod at an index, as its kubelet has it.
func (k *kubelet) pod(ctx context.Context, set string, index int) *loopbackPod {
	GinkgoHelper()
	pod, err := api.CoreV1().Pods(k.namespace).Get(ctx, set+"-"+strconv.Itoa(index), metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	k.mutex.Lock()
	defer k.mutex.Unlock()
	Expect(k.pods).To(HaveKey(pod.UID))
	return k.pods[pod.UID]
}

// ready reports a pod ready, or not.
func (k *kubelet) ready(ctx context.Context, p *loopbackPod, ready bool) {
	GinkgoHelper()
	Expect(k.report(ctx, p, p.runs(ready))).To(Succeed())
}

// move gives a pod another address, as a kubelet does that has to make the pod's
// sandbox anew.
func (k *kubelet) move(ctx context.Context, p *loopbackPod) {
	GinkgoHelper()
	before, err := p.serve(k.fresh())
	Expect(err).NotTo(HaveOccurred())
	k.ready(ctx, p, true)
	k.leave(before)
}

// evict ends a pod as a kubelet does that runs out of something.
func (k *kubelet) evict(ctx context.Context, p *loopbackPod) {
	GinkgoHelper()
	Expect(k.report(ctx, p, func(s *corev1.PodStatus) {
		s.Phase, s.Reason, s.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
		conditions(s, false)
	})).To(Succeed())
	k.leave(p.end())
}

// at is host:port of the pod.
func (p *loopbackPod) at(port int) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return net.JoinHostPort(p.address, strconv.Itoa(port))
}
