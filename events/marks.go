package events

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
)

// noCallback is the mark of a Job of which nobody can be told.
const noCallback = "no-callback"

// ours is whether the Job is one to be reported.
func ours(job *batchv1.Job) bool { return slices.Contains(job.Finalizers, keys.ReportFinalizer) }

func decided(job *batchv1.Job) bool { return job.Annotations[keys.Outcome] != "" }

func answered(job *batchv1.Job) bool { return job.Annotations[keys.OutcomeAnswer] != "" }

// answerMark is what keys.OutcomeAnswer holds.
func answerMark(what string, at time.Time) string {
	return what + " " + at.UTC().Format(time.RFC3339)
}

func statusMark(answer Answer, at time.Time) string {
	return answerMark(strconv.Itoa(answer.Status), at)
}

// answeredAt is when the answer came. A mark without a readable time, which only a
// person could have written, counts as old.
func answeredAt(job *batchv1.Job) time.Time {
	_, text, _ := strings.Cut(job.Annotations[keys.OutcomeAnswer], " ")
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// finishedAt is when Kubernetes saw the Job's end; zero while it hasn't.
func finishedAt(job *batchv1.Job) time.Time {
	for _, condition := range job.Status.Conditions {
		if (condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed) && condition.Status == corev1.ConditionTrue {
			return condition.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// change is a merge patch of a Job. What is empty stays as it is.
type change struct {
	Metadata changedMetadata `json:"metadata"`
	Spec     *changedSpec    `json:"spec,omitempty"`
}

type changedMetadata struct {
	// UID and ResourceVersion are preconditions.
	UID             types.UID         `json:"uid"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Annotations     map[string]string `json:"annotations,omitempty"`
	// Finalizers replaces all of them.
	Finalizers *[]string `json:"finalizers,omitempty"`
}

type changedSpec struct {
	Suspend bool `json:"suspend"`
}

func (r *run) patch(ctx context.Context, name string, c change) error {
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode a change of Job %s: %w", name, err)
	}
	_, err = r.kubernetes.BatchV1().Jobs(r.namespace).Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{})
	return err
}
