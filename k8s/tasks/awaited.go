package tasks

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/imagewait"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// awaited is the annotation [keys.AwaitedImage] of a task that was accepted before its image
// was in the registry. Its Job is suspended until then.
type awaited struct {
	// Droplet is the task's, without the URL, which may be signed.
	Droplet opi.Droplet `json:"droplet"`
	// Stack is the name of the stack; empty for that of the droplet.
	Stack string `json:"stack,omitempty"`
	imagewait.State
	// FailingSince is when the first attempt failed that did not just take long.
	FailingSince time.Time `json:"failingSince,omitzero"`
}

func (a awaited) encode() (string, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("encode annotation %s: %w", keys.AwaitedImage, err)
	}
	return string(text), nil
}

// awaitedOf returns nil for a task that does not wait for its image.
func awaitedOf(task *batchv1.Job) (*awaited, error) {
	text, found := task.Annotations[keys.AwaitedImage]
	if !found {
		return nil, nil
	}
	state := &awaited{}
	if err := json.Unmarshal([]byte(text), state); err != nil {
		return nil, fmt.Errorf("decode annotation %s of Job %s: %w", keys.AwaitedImage, task.Name, err)
	}
	return state, nil
}

// awaitImage makes the objects of a task such that its pod is not made before its image is in
// the registry. The pod names the image by a tag of the task's own, since the stack's revision
// may be unknown, or change until then, and a Job's pod template can't be changed.
func (s Settings) awaitImage(objects job.Objects, task opi.Task) error {
	droplet := *task.Droplet
	droplet.URL = ""
	text, err := awaited{Droplet: droplet, Stack: task.RootFS.Stack}.encode()
	if err != nil {
		return err
	}
	work := objects.Job
	work.Spec.Suspend = ptr.To(true)
	work.Annotations[keys.AwaitedImage] = text
	work.Labels = maps.Clone(work.Labels) // the pod has the same
	work.Labels[keys.AwaitedImage] = waits
	work.Spec.Template.Spec.Containers[0].Image = s.Translation.Registry.DropletImage(render.TaskLRP(task), work.Name)
	if task.Droplet.URL != "" {
		objects.Secrets[0].Data[dropletURLKey] = []byte(task.Droplet.URL)
	}
	return nil
}

const (
	// waits is the value of the label [keys.AwaitedImage].
	waits = "true"
	// dropletURLKey is the key in a task's Secret of the URL of its droplet.
	dropletURLKey = "droplet-url"
)

// whyNoImage returns the outcome of a task that waits for an image that can't be made; nil for any
// other.
func whyNoImage(task *batchv1.Job) *opi.Outcome {
	state, err := awaitedOf(task)
	if err != nil || state == nil || !state.Lasting {
		return nil
	}
	return opi.TaskFailed(task.Labels[keys.GUID], "image", "The task could not be started: "+state.Fault)
}
