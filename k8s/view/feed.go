package view

import (
	"context"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/irene-cf/irene/k8s/keys"
)

// appObjects selects everything that belongs to an LRP.
var appObjects = labels.SelectorFromSet(labels.Set{keys.SourceType: keys.SourceTypeApp})

// relistBackoff spaces attempts to reach an API server that does not answer.
// client-go's own default goes up to a minute, during which GET /apps would
// answer 503 although the API server is back.
var relistBackoff = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6, Cap: 10 * time.Second}

// feedState is what a store knows of its own progress.
type feedState struct {
	synced     bool
	progress   string
	progressAt time.Time
	objects    int
}

// feed runs the reflector of one resource.
type feed struct {
	resource Resource
	// state and reopened touch the store: the first under the view's lock, the
	// second takes it.
	state    func() feedState
	reopened func()
	run      func(context.Context)
	// forwarding is one goroutine per open watch.
	forwarding sync.WaitGroup

	mu sync.Mutex
	// open is the watch at present, nil where there is none. listing is one that
	// still streams its initial list, which may take long and is left alone.
	open, listing *endableWatch
}

// listWatch is the list and watch of one resource as its client offers it.
type listWatch struct {
	client any
	kind   runtime.Object
	list   func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch  func(context.Context, metav1.ListOptions) (watch.Interface, error)
	// selector chooses objects by their labels.
	selector labels.Selector
	// failed, where set, is told why a list failed. It says whether the log has been
	// told.
	failed func(error) (told bool)
}

func (v *View) newFeeds(client kubernetes.Interface, meta metadata.Interface) []*feed {
	sets := client.AppsV1().StatefulSets(v.namespace)
	pods := client.CoreV1().Pods(v.namespace)
	secrets := meta.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(v.namespace)
	budgets := client.PolicyV1().PodDisruptionBudgets(v.namespace)
	nodes := client.CoreV1().Nodes()
	return []*feed{
		newFeed(v.lrps, listWatch{client: client, kind: &appsv1.StatefulSet{}, selector: appObjects, watch: sets.Watch,
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return sets.List(ctx, o) }}),
		newFeed(v.pods, listWatch{client: client, kind: &corev1.Pod{}, selector: appObjects, watch: pods.Watch,
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return pods.List(ctx, o) }}),
		newFeed(v.secrets, listWatch{client: meta, kind: &metav1.PartialObjectMetadata{}, selector: appObjects, watch: secrets.Watch,
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return secrets.List(ctx, o) }}),
		newFeed(v.budgets, listWatch{client: client, kind: &policyv1.PodDisruptionBudget{}, selector: appObjects, watch: budgets.Watch,
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return budgets.List(ctx, o) }}),
		newFeed(v.nodes, listWatch{client: client, kind: &corev1.Node{}, selector: labels.Everything(), watch: nodes.Watch, failed: v.withoutNodes,
			list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return nodes.List(ctx, o) }}),
	}
}

func newFeed[K comparable, P object[P]](s *store[K, P], source listWatch) *feed {
	f := &feed{resource: s.resource, state: s.state, reopened: s.reopened}
	s.listed = f.listed
	logger := klog.New(&reflectorLog{logger: s.view.logger.Session("watch")})
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = source.selector.String()
			all, err := source.list(ctx, options)
			if err != nil && source.failed != nil && source.failed(err) {
				err = toldError{err}
			}
			return all, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = source.selector.String()
			w, err := source.watch(ctx, options)
			if err != nil {
				return nil, err
			}
			return f.opened(w, options.SendInitialEvents != nil), nil
		},
	}
	reflector := cache.NewReflectorWithOptions(
		cache.ToListWatcherWithWatchListSemantics(lw, source.client), source.kind, s,
		cache.ReflectorOptions{Name: string(s.resource), Logger: &logger, Backoff: &relistBackoff})
	f.run = func(ctx context.Context) {
		reflector.RunWithContext(klog.NewContext(ctx, logger))
		f.forwarding.Wait()
	}
	return f
}

func (s *store[K, P]) state() feedState {
	return feedState{synced: s.synced, progress: s.progress, progressAt: s.progressAt, objects: len(s.byUID)}
}

// reopened counts a watch that the API server has just accepted, from where the
// last one ended, as progress.
func (s *store[K, P]) reopened() {
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	if s.synced {
		s.progressAt = s.view.clock.Now()
	}
}
