package view

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/irene-cf/irene/k8s/imagewait"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// AwaitedImage is the annotation [keys.AwaitedImage] of an LRP that was accepted before its
// image was in the registry. Its StatefulSet has no replicas until then.
type AwaitedImage struct {
	// Instances is how many instances are desired.
	Instances int `json:"instances"`
	// State counts the attempts at the image.
	imagewait.State
}

// Encode returns the annotation's text.
func (a AwaitedImage) Encode() (string, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("encode annotation %s: %w", keys.AwaitedImage, err)
	}
	return string(text), nil
}

// awaitedImageOf returns nil if there is no such annotation. One that can't be read, which
// somebody must have written by hand, stands for one instance, so that the LRP is not lost.
func awaitedImageOf(set *appsv1.StatefulSet) *AwaitedImage {
	text, found := set.Annotations[keys.AwaitedImage]
	if !found {
		return nil
	}
	awaited := &AwaitedImage{}
	if err := json.Unmarshal([]byte(text), awaited); err != nil || awaited.Instances < 0 {
		return &AwaitedImage{Instances: 1}
	}
	return awaited
}

// instance returns what stands for an instance of an LRP that waits for its image.
func (a *AwaitedImage) instance(waiting opi.Instance) opi.Instance {
	waiting.PlacementError = a.Fault
	if a.Lasting {
		waiting.State = opi.InstanceCrashed
	}
	if !a.Since.IsZero() {
		waiting.Since = a.Since
	}
	return waiting
}
