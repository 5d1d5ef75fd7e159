package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// errStopped says that a StatefulSet is gone or going.
var errStopped = errors.New("the LRP was stopped")

// changeAttempts bounds how often a change is made anew because the StatefulSet had
// changed meanwhile; while pods come and go its status does all the time.
const changeAttempts = 20

// liveSet asks the API server for a StatefulSet. The error is errStopped when it is
// gone, or another has its name.
func (l *LRPs) liveSet(ctx context.Context, name string, uid types.UID) (*appsv1.StatefulSet, error) {
	set, err := l.statefulSets().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && (set.UID != uid || set.DeletionTimestamp != nil):
		return nil, errStopped
	case err != nil:
		return nil, fmt.Errorf("look at StatefulSet %s: %w", name, classify(err))
	}
	return set, nil
}

// changeSet writes a change that is made for one version of the StatefulSet, and makes
// it anew when there is a later one. A nil patch is no change.
func (l *LRPs) changeSet(ctx context.Context, set *appsv1.StatefulSet, change func(*appsv1.StatefulSet) (*objectPatch, error)) error {
	for range changeAttempts {
		patch, err := change(set)
		if err != nil || patch == nil {
			return err
		}
		if err = l.patchSet(ctx, set, patch); !errors.Is(err, errChanged) {
			return err
		}
		if set, err = l.liveSet(ctx, set.Name, set.UID); err != nil {
			return err
		}
	}
	return fmt.Errorf("change StatefulSet %s: %w, and again after each of %d attempts: %w", set.Name, errChanged, changeAttempts, opi.ErrUnavailable)
}

// patchSet writes a strategic merge patch. The error is errChanged when the StatefulSet
// is not that version any more.
func (l *LRPs) patchSet(ctx context.Context, set *appsv1.StatefulSet, patch *objectPatch) error {
	patch.Metadata.UID, patch.Metadata.ResourceVersion = set.UID, set.ResourceVersion
	content, err := mergePatch(*patch)
	if err != nil {
		return err
	}
	patched, err := l.statefulSets().Patch(ctx, set.Name, types.StrategicMergePatchType, content, metav1.PatchOptions{})
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return errChanged
	case err != nil:
		return fmt.Errorf("change StatefulSet %s: %w", set.Name, classify(err))
	}
	l.View.NoteStatefulSet(patched)
	return nil
}

// movePatch moves a buildpack app's template to another image and says so wherever it
// is said what the app runs on. Nothing else of the template changes.
func movePatch(set *appsv1.StatefulSet, to AppImage, image string) (*objectPatch, error) {
	if containerOf(set) == nil {
		return nil, fmt.Errorf("move StatefulSet %s: it has no container %s", set.Name, containerName)
	}
	record, err := recordOn(set.Annotations[keys.LRP], to)
	if err != nil {
		return nil, fmt.Errorf("move StatefulSet %s: %w", set.Name, err)
	}
	label := map[string]string{keys.RootFSVersion: to.Revision}
	annotations := annotationChanges{keys.LRP: &record}
	if to.Stack != "" {
		annotations[keys.Stack] = &to.Stack
	}
	return &objectPatch{
		Metadata: metadataPatch{Labels: label, Annotations: annotations},
		Spec: specPatch{Template: templatePatch{
			Metadata: metadataPatch{Labels: label},
			Spec:     containersPatch{Containers: []containerPatch{{Name: containerName, Image: image}}},
		}},
	}, nil
}

// recordFields are the parts of a record that this release knows, and those that a
// later one may have added.
func recordFields(text string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return nil, fmt.Errorf("decode LRP record: %w", err)
	}
	if version := string(fields["version"]); version != fmt.Sprint(recordVersion) {
		return nil, fmt.Errorf("decode LRP record: version %q is not known to this release", version)
	}
	return fields, nil
}

// recordOn is a record's text for another image; all else stays, byte for byte.
func recordOn(text string, image AppImage) (string, error) {
	fields, err := recordFields(text)
	if err != nil {
		return "", err
	}
	for name, value := range map[string]string{"stack": image.Stack, "stackRevision": image.Revision} {
		if value == "" {
			continue // not known, as in annotations
		}
		if fields[name], err = json.Marshal(value); err != nil {
			return "", fmt.Errorf("encode LRP record: %w", err)
		}
	}
	changed, err := json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("encode LRP record: %w", err)
	}
	return string(changed), nil
}

// recordedLRP is the buildpack app that a StatefulSet was made from, as far as its
// image depends on it: without egress rules, which may be in the Secret.
func recordedLRP(set *appsv1.StatefulSet) (opi.LRP, error) {
	fields, err := recordFields(set.Annotations[keys.LRP])
	if err != nil {
		return opi.LRP{}, fmt.Errorf("read StatefulSet %s: %w", set.Name, err)
	}
	delete(fields, "egressRulesInSecret")
	text, err := json.Marshal(fields)
	if err != nil {
		return opi.LRP{}, fmt.Errorf("read StatefulSet %s: %w", set.Name, err)
	}
	record, err := decodeRecord(string(text), nil)
	if err != nil {
		return opi.LRP{}, fmt.Errorf("read StatefulSet %s: %w", set.Name, err)
	}
	if record.LRP.Droplet == nil {
		return opi.LRP{}, fmt.Errorf("read StatefulSet %s: %w", set.Name, errNoDroplet)
	}
	return record.LRP, nil
}

// errNoDroplet says that an LRP's image is none of ours.
var errNoDroplet = errors.New("it runs an image that was not made from a droplet")

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
	index := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == containerName })
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
