package k8s

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// RecordedDroplets reads up to limit LRPs with droplets, all of them different, from the
// API server. LRPs that can't be read are left out.
func RecordedDroplets(ctx context.Context, client kubernetes.Interface, namespace string, limit int) ([]opi.LRP, error) {
	var found []opi.LRP
	known := map[opi.Droplet]bool{}
	errEnough := errors.New("enough")
	list := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.AppsV1().StatefulSets(namespace).List(ctx, options)
	})
	list.PageSize = listPage
	list.PageBufferSize = 0
	err := list.EachListItem(ctx, metav1.ListOptions{LabelSelector: keys.SourceType + "=" + keys.SourceTypeApp}, func(object runtime.Object) error {
		lrp, err := render.RecordedLRP(object.(*appsv1.StatefulSet))
		if err != nil || known[*lrp.Droplet] {
			return nil
		}
		known[*lrp.Droplet] = true
		if found = append(found, lrp); len(found) == limit {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, fmt.Errorf("list LRPs with droplets: %w", apierror.Classify(err))
	}
	return found, nil
}
