package control

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// movePatch moves a buildpack app's template to another image and says so wherever it
// is said what the app runs on. Nothing else of the template changes.
func movePatch(set *appsv1.StatefulSet, to render.AppImage, image string) (*live.Patch, error) {
	if containerOf(set) == nil {
		return nil, fmt.Errorf("move StatefulSet %s: it has no container %s", set.Name, keys.AppContainer)
	}
	record, err := render.MoveRecord(set.Annotations[keys.LRP], to)
	if err != nil {
		return nil, fmt.Errorf("move StatefulSet %s: %w", set.Name, err)
	}
	label := map[string]string{keys.RootFSVersion: to.Revision}
	annotations := map[string]*string{keys.LRP: &record}
	if to.Stack != "" {
		annotations[keys.Stack] = &to.Stack
	}
	return &live.Patch{
		Metadata: live.Metadata{Labels: label, Annotations: annotations},
		Spec: live.Spec{Template: live.Template{
			Metadata: live.Metadata{Labels: label},
			Spec:     live.Containers{Containers: []live.Container{{Name: keys.AppContainer, Image: image}}},
		}},
	}, nil
}

// recordedOn returns the LRP that a StatefulSet was made from, on the stack that it runs on at
// present. Errors are those of [render.RecordedLRP].
func recordedOn(set *appsv1.StatefulSet) (opi.LRP, error) {
	recorded, err := render.RecordedLRP(set)
	if stack := set.Annotations[keys.Stack]; err == nil && stack != "" {
		recorded.RootFS.Stack = stack
	}
	return recorded, err
}

// rolledFrom is what an LRP ran on before it was moved.
type rolledFrom struct {
	Revision string `json:"revision"`
	Image    string `json:"image"`
}

func (f rolledFrom) encode() (*string, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode annotation %s: %w", keys.StackRoll, err)
	}
	return ptr.To(string(text)), nil
}

// rolledFromOf is false where nobody moves the LRP, or nobody can tell from where.
func rolledFromOf(set *appsv1.StatefulSet) (rolledFrom, bool) {
	var from rolledFrom
	err := json.Unmarshal([]byte(set.Annotations[keys.StackRoll]), &from)
	return from, err == nil && from.Image != ""
}

// underWay is whether a roll has begun with the LRP and not ended.
func underWay(set *appsv1.StatefulSet) bool {
	_, moving := set.Annotations[keys.StackRoll]
	_, surging := set.Annotations[keys.Surge]
	return moving || surging
}

func revisionOf(set *appsv1.StatefulSet) string { return set.Labels[keys.RootFSVersion] }

// containerOf is the app's container in the template, nil if somebody took it away.
func containerOf(set *appsv1.StatefulSet) *corev1.Container {
	containers := set.Spec.Template.Spec.Containers
	index := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == keys.AppContainer })
	if index < 0 {
		return nil
	}
	return &containers[index]
}

func imageOf(set *appsv1.StatefulSet) string {
	if container := containerOf(set); container != nil {
		return container.Image
	}
	return ""
}

// hasClaims is whether instances have volumes that two at once may not be able to use.
func hasClaims(set *appsv1.StatefulSet) bool {
	return slices.ContainsFunc(set.Spec.Template.Spec.Volumes, func(volume corev1.Volume) bool {
		return volume.PersistentVolumeClaim != nil
	})
}
