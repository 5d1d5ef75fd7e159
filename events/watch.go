package events

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/irene-cf/irene/k8s/keys"
)

// byJob indexes pods by the uid of the Job that controls them.
const byJob = "job"

// watched is what is known of Jobs and their pods.
type watched struct {
	factory informers.SharedInformerFactory
	jobs    batchlisters.JobNamespaceLister
	pods    cache.Indexer
}

// watch prepares informers that call changed with the name of a Job when it or one of
// its pods changes, and gone when it is no more. Their goroutines are the factory's.
func watch(client kubernetes.Interface, namespace, selector string, changed, gone func(job string)) (*watched, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(namespace),
		informers.WithTransform(slim),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = selector }))
	jobs, pods := factory.Batch().V1().Jobs(), factory.Core().V1().Pods()
	if err := pods.Informer().AddIndexers(cache.Indexers{byJob: func(object any) ([]string, error) {
		if owner := owningJob(object); owner != nil {
			return []string{string(owner.UID)}, nil
		}
		return nil, nil
	}}); err != nil {
		return nil, fmt.Errorf("index pods by Job: %w", err)
	}
	ofPod := func(object any) {
		if owner := owningJob(object); owner != nil {
			changed(owner.Name)
		}
	}
	if _, err := pods.Informer().AddEventHandler(handler(ofPod, ofPod)); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	if _, err := jobs.Informer().AddEventHandler(handler(
		func(object any) { changed(object.(*batchv1.Job).Name) },
		func(object any) { gone(object.(*batchv1.Job).Name) },
	)); err != nil {
		return nil, fmt.Errorf("watch Jobs: %w", err)
	}
	return &watched{factory: factory, jobs: jobs.Lister().Jobs(namespace), pods: pods.Informer().GetIndexer()}, nil
}

func handler(changed, gone func(object any)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, object any) { changed(object) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			gone(object)
		},
	}
}

func owningJob(object any) *metav1.OwnerReference {
	owner := metav1.GetControllerOf(object.(*corev1.Pod))
	if owner == nil || owner.Kind != "Job" {
		return nil
	}
	return owner
}

// podsOf are the pods of a Job, oldest first.
func (w *watched) podsOf(job types.UID) ([]*corev1.Pod, error) {
	objects, err := w.pods.ByIndex(byJob, string(job))
	if err != nil {
		return nil, fmt.Errorf("find the pods of a Job: %w", err)
	}
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, object := range objects {
		pods = append(pods, object.(*corev1.Pod))
	}
	sortPods(pods)
	return pods, nil
}

func sortPods(pods []*corev1.Pod) {
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

// slim leaves out what nobody needs here and what is large: with thousands of Jobs,
// the difference between a few megabytes and hundreds.
func slim(object any) (any, error) {
	switch object := object.(type) {
	case *batchv1.Job:
		slimMeta(&object.ObjectMeta)
		slimPodSpec(&object.Spec.Template.Spec)
		object.Spec.Template.Annotations = nil
		if answered(object) {
			// What is left of it is a tombstone.
			delete(object.Annotations, keys.Outcome)
			object.Spec.Template = corev1.PodTemplateSpec{}
		}
	case *corev1.Pod:
		slimMeta(&object.ObjectMeta)
		slimPodSpec(&object.Spec)
	}
	return object, nil
}

func slimMeta(meta *metav1.ObjectMeta) {
	meta.ManagedFields = nil
	for _, key := range []string{corev1.LastAppliedConfigAnnotation, keys.WorkRecord, keys.MetricTags} {
		delete(meta.Annotations, key)
	}
}

// slimPodSpec keeps what tells how the pod is placed and bounded.
func slimPodSpec(spec *corev1.PodSpec) {
	spec.Volumes, spec.Affinity, spec.Tolerations, spec.TopologySpreadConstraints = nil, nil, nil, nil
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			c := &containers[i]
			containers[i] = corev1.Container{Name: c.Name, Image: c.Image, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
		}
	}
}
