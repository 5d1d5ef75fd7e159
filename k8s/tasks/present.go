package tasks

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"code.cloudfoundry.org/lager/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metalabels "k8s.io/apimachinery/pkg/labels"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// Present returns a task that is listed. The error wraps opi.ErrNotFound if it isn't.
func (t *Tasks) Present(ctx context.Context, guid string) (opi.PresentTask, error) {
	found, err := t.find(ctx, guid)
	if err != nil {
		return opi.PresentTask{}, err
	}
	nodes, err := t.nodes(ctx, metalabels.SelectorFromSet(metalabels.Set{
		keys.SourceType: keys.SourceTypeTask, keys.GUID: guid,
	}).String())
	if err != nil {
		return opi.PresentTask{}, err
	}
	task, err := present(found, nodes)
	if err != nil {
		t.logger.Error("read-record", err, lager.Data{"task_guid": guid})
	}
	return task, nil
}

// Door returns the door by which a task that is listed was desired. The error wraps
// opi.ErrNotFound if it isn't listed.
func (t *Tasks) Door(ctx context.Context, guid string) (opi.Door, error) {
	found, err := t.find(ctx, guid)
	if err != nil {
		return "", err
	}
	return job.Door(found), nil
}

// ListPresent returns the tasks of some doors. For one door, it returns those in List, in the
// same order.
func (t *Tasks) ListPresent(ctx context.Context, doors []opi.Door) ([]opi.PresentTask, error) {
	found, err := t.list(ctx, doors)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	nodes, err := t.nodes(ctx, t.jobs.Selector())
	if err != nil {
		return nil, err
	}
	tasks := make([]opi.PresentTask, 0, len(found))
	for i := range found {
		// What can be read is returned with the error: a list that lacks a task ends it.
		task, _ := present(&found[i], nodes)
		tasks = append(tasks, task)
	}
	slices.SortFunc(tasks, func(a, b opi.PresentTask) int { return cmp.Compare(a.GUID, b.GUID) })
	return tasks, nil
}

// nodes returns the names of the nodes that took the tasks' pods, by the tasks' guids. They come
// from the API server's cache, since nothing depends on them.
func (t *Tasks) nodes(ctx context.Context, selector string) (map[string]string, error) {
	pods, err := t.options.Client.CoreV1().Pods(t.options.Settings.Translation.Namespace).
		List(ctx, metav1.ListOptions{LabelSelector: selector, ResourceVersion: "0"})
	if err != nil {
		return nil, fmt.Errorf("list pods of tasks: %w", apierror.Classify(err))
	}
	nodes := make(map[string]string, len(pods.Items))
	for i := range pods.Items {
		nodes[pods.Items[i].Labels[keys.GUID]] = pods.Items[i].Spec.NodeName
	}
	return nodes, nil
}

// present returns a task. The error is about what is kept of it and can't be read; all else is
// returned with it.
func present(found metav1.Object, nodes map[string]string) (opi.PresentTask, error) {
	labels, annotations := found.GetLabels(), found.GetAnnotations()
	record, err := render.DecodeWorkRecord(annotations, nil)
	return opi.PresentTask{
		GUID:       labels[keys.GUID],
		Door:       job.Door(found),
		Domain:     labels[keys.Domain],
		Annotation: annotations[keys.LastUpdated],
		MetricTags: record.MetricTags,
		Limits:     record.Limits,
		AppGUID:    labels[keys.AppGUID],
		Stack:      annotations[keys.Stack],
		Image:      annotations[keys.TaskImage],
		Created:    found.GetCreationTimestamp().Time,
		Cell:       nodes[labels[keys.GUID]],
	}, err
}
