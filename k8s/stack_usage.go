package k8s

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/pager"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
)

// listPage bounds how many StatefulSets are in memory at once when all are listed.
const listPage = 200

// namedApps bounds the names in a StackUse.
const namedApps = 10

// StackUse is how many LRPs run on one revision of a stack.
type StackUse struct {
	// Stack is empty for LRPs whose stack is not known.
	Stack, Revision string
	LRPs            int
	// Apps are the names of up to ten of their apps, sorted.
	Apps []string
}

// StackUsage lists all LRPs that are built on a stack, live, and counts them by
// stack and revision.
func StackUsage(ctx context.Context, client metadata.Interface, namespace string) ([]StackUse, error) {
	type base struct{ stack, revision string }
	uses := map[base]*StackUse{}
	statefulSets := client.Resource(appsv1.SchemeGroupVersion.WithResource("statefulsets")).Namespace(namespace)
	list := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return statefulSets.List(ctx, options)
	})
	list.PageSize = listPage
	err := list.EachListItem(ctx, metav1.ListOptions{LabelSelector: keys.SourceType + "=" + keys.SourceTypeApp}, func(object runtime.Object) error {
		set := object.(*metav1.PartialObjectMetadata)
		on := base{set.Annotations[keys.Stack], set.Labels[keys.RootFSVersion]}
		if on == (base{}) {
			return nil // a docker image
		}
		use := uses[on]
		if use == nil {
			use = &StackUse{Stack: on.stack, Revision: on.revision}
			uses[on] = use
		}
		use.LRPs++
		if app := set.Annotations[keys.ApplicationName]; len(use.Apps) < namedApps && !slices.Contains(use.Apps, app) {
			use.Apps = append(use.Apps, app)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list LRPs by stack: %w", apierror.Classify(err))
	}
	var sorted []StackUse
	for use := range maps.Values(uses) {
		slices.Sort(use.Apps)
		sorted = append(sorted, *use)
	}
	slices.SortFunc(sorted, func(a, b StackUse) int {
		return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Revision, b.Revision))
	})
	return sorted, nil
}
