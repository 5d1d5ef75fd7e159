package control

import (
	"context"
	"time"

	"code.cloudfoundry.org/lager/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// namespaceInterval is how often the namespace is looked at while instances wait.
const namespaceInterval = 10 * time.Second

// watchNamespace finds out whether the namespace is being deleted. Kubernetes deletes its
// pods before everything else, so the pods that wait for a back-off would delay that, and
// nothing else shows it: they are being deleted already, and their StatefulSets are not.
func (b *CrashBackoff) watchNamespace(ctx context.Context) {
	ticker := b.options.Clock.NewTicker(namespaceInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		if b.namespaceEnds.Load() || waitingInstances(b.options.View) > 0 {
			b.lookAtNamespace(ctx)
		}
	}
}

func (b *CrashBackoff) lookAtNamespace(ctx context.Context) {
	name := b.options.Namespace
	namespace, err := b.options.Namespaces.Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return // if it can't be read, its deletion waits until the back-offs are over
	}
	ends := namespace.DeletionTimestamp != nil
	if was := b.namespaceEnds.Swap(ends); was || !ends {
		return
	}
	b.logger.Info("namespace-is-being-deleted", lager.Data{"namespace": name})
	for _, id := range b.options.View.DiskIdentities() {
		b.loop.enqueue(id)
	}
}

// waitingInstances counts the instances that wait for their back-off.
func waitingInstances(appsView heldBackPods) (count int) {
	for _, id := range appsView.DiskIdentities() {
		for _, pod := range appsView.HeldBack(id) {
			if pod.OverDisk() {
				count++
			}
		}
	}
	return count
}
