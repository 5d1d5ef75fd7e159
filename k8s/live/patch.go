package live

import (
	"encoding/json"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
)

// Patch is a JSON merge patch for the few fields that Irene ever changes.
type Patch struct {
	Metadata Metadata `json:"metadata,omitzero"`
	Spec     Spec     `json:"spec,omitzero"`
}

// Metadata are the changes of an object's metadata. UID and ResourceVersion, where set, are
// preconditions. A nil annotation is removed.
type Metadata struct {
	UID             types.UID               `json:"uid,omitempty"`
	ResourceVersion string                  `json:"resourceVersion,omitempty"`
	Labels          map[string]string       `json:"labels,omitempty"`
	Annotations     map[string]*string      `json:"annotations,omitempty"`
	OwnerReferences []metav1.OwnerReference `json:"ownerReferences,omitempty"`
}

// Spec are the changes of a StatefulSet's spec.
type Spec struct {
	Replicas *int     `json:"replicas,omitempty"`
	Template Template `json:"template,omitzero"`
}

// Template are the changes of a pod template. It needs a strategic merge patch, which
// identifies containers by their names.
type Template struct {
	Metadata Metadata   `json:"metadata,omitzero"`
	Spec     Containers `json:"spec,omitzero"`
}

// Containers are the changes of a pod template's containers.
type Containers struct {
	Containers []Container `json:"containers,omitempty"`
}

// Container is another image for the container of this name.
type Container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// SetReplicas asks for a number of desired instances and some beyond those.
func (p *Patch) SetReplicas(instances, surge int) {
	if p.Metadata.Annotations == nil {
		p.Metadata.Annotations = map[string]*string{}
	}
	p.Spec.Replicas, p.Metadata.Annotations[keys.Surge] = ptr.To(instances+surge), nil
	if surge > 0 {
		p.Metadata.Annotations[keys.Surge] = ptr.To(strconv.Itoa(surge))
	}
}

// Encode returns the patch's JSON.
func (p Patch) Encode() ([]byte, error) {
	content, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	return content, nil
}
