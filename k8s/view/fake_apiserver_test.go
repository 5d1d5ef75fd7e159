package view

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// apiServer speaks as much of the API server's list and watch as reflectors use,
// over HTTP, and keeps silent like one whose resources never change: no
// bookmarks after the initial list.
type apiServer struct {
	*httptest.Server
	// streamsLists is whether it answers sendInitialEvents, as servers since 1.32 do.
	streamsLists bool

	mu      sync.Mutex
	version int
	objects map[string][]runtime.Object
	// watches are the open watches by resource.
	watches map[string]map[*openWatch]struct{}
	// lists are complete lists, plain or streamed; accepted are watches, those that
	// begin with a list included; selectors are paths with the label selector.
	lists, accepted map[string]int
	selectors       map[string]bool
	refuse          bool
	// forbidden are resources that may be neither listed nor watched.
	forbidden map[string]bool
}

type openWatch struct {
	events chan metav1.WatchEvent
	end    chan struct{}
	once   sync.Once
}

func (w *openWatch) close() { w.once.Do(func() { close(w.end) }) }

func newAPIServer(t *testing.T, streamsLists bool) *apiServer {
	t.Helper()
	s := &apiServer{
		streamsLists: streamsLists,
		version:      10,
		objects:      map[string][]runtime.Object{},
		watches:      map[string]map[*openWatch]struct{}{},
		lists:        map[string]int{},
		accepted:     map[string]int{},
		selectors:    map[string]bool{},
		forbidden:    map[string]bool{},
	}
	s.Server = httptest.NewUnstartedServer(s)
	// As API servers do: client-go sees the end of an HTTP/2 stream differently.
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(func() {
		s.endWatches()
		s.Close()
	})
	return s
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resource, query := path.Base(r.URL.Path), r.URL.Query()
	s.mu.Lock()
	s.selectors[r.URL.Path+"?"+query.Get("labelSelector")] = true
	refuse, forbidden := s.refuse, s.forbidden[resource]
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	initial := query.Get("sendInitialEvents") == "true"
	switch {
	case refuse:
		w.WriteHeader(http.StatusServiceUnavailable)
	case forbidden:
		s.lament(w, metav1.StatusReasonForbidden, http.StatusForbidden)
	case query.Get("watch") == "":
		s.list(w, resource)
	case initial && !s.streamsLists:
		s.lament(w, metav1.StatusReasonInvalid, http.StatusUnprocessableEntity)
	default:
		s.watch(w, r, resource, initial)
	}
}

func (s *apiServer) lament(w http.ResponseWriter, reason metav1.StatusReason, code int) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status: metav1.StatusFailure, Reason: reason, Code: int32(code), Message: string(reason)})
}

func (s *apiServer) list(w http.ResponseWriter, resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[resource]++
	kind := kinds[resource]
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": kind.Kind + "List", "apiVersion": kind.APIVersion,
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)},
		"items":    append([]runtime.Object{}, s.objects[resource]...),
	})
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request, resource string, initial bool) {
	watch := &openWatch{events: make(chan metav1.WatchEvent, 1000), end: make(chan struct{})}
	s.mu.Lock()
	s.accepted[resource]++
	if initial {
		s.lists[resource]++
		for _, object := range s.objects[resource] {
			watch.events <- metav1.WatchEvent{Type: "ADDED", Object: runtime.RawExtension{Object: object}}
		}
		watch.events <- metav1.WatchEvent{Type: "BOOKMARK", Object: runtime.RawExtension{Object: &metav1.PartialObjectMetadata{
			TypeMeta: kinds[resource],
			ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.Itoa(s.version),
				Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}},
		}}}
	} else {
		// What happened since the list or the last watch.
		after, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
		for _, object := range s.objects[resource] {
			if version, _ := strconv.Atoi(object.(metav1.Object).GetResourceVersion()); version > after {
				watch.events <- metav1.WatchEvent{Type: "ADDED", Object: runtime.RawExtension{Object: object}}
			}
		}
	}
	if s.watches[resource] == nil {
		s.watches[resource] = map[*openWatch]struct{}{}
	}
	s.watches[resource][watch] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watches[resource], watch)
	}()

	flush := w.(http.Flusher).Flush
	flush()
	for {
		select {
		case event := <-watch.events:
			if json.NewEncoder(w).Encode(event) != nil {
				return
			}
			flush()
		case <-watch.end:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// create stores an object and tells the watches of it.
func (s *apiServer) create(resource string, object runtime.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	kind := kinds[resource]
	object.GetObjectKind().SetGroupVersionKind(kind.GroupVersionKind())
	object.(metav1.Object).SetResourceVersion(strconv.Itoa(s.version))
	s.objects[resource] = append(s.objects[resource], object)
	for watch := range s.watches[resource] {
		watch.events <- metav1.WatchEvent{Type: "ADDED", Object: runtime.RawExtension{Object: object}}
	}
}

func (s *apiServer) endWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, watches := range s.watches {
		for watch := range watches {
			watch.close()
		}
	}
}

// stop refuses everything and ends what runs; start answers again.
func (s *apiServer) stop() {
	s.setRefusing(true)
	s.endWatches()
}

func (s *apiServer) start() { s.setRefusing(false) }

func (s *apiServer) setRefusing(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
}

// forbid says whether a resource may be read.
func (s *apiServer) forbid(resource string, forbidden bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden[resource] = forbidden
}

func (s *apiServer) asked(resource string) (lists, watches int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists[resource], s.accepted[resource]
}

var kinds = map[string]metav1.TypeMeta{
	"statefulsets":         {Kind: "StatefulSet", APIVersion: "apps/v1"},
	"pods":                 {Kind: "Pod", APIVersion: "v1"},
	"secrets":              {Kind: "PartialObjectMetadata", APIVersion: "meta.k8s.io/v1"},
	"poddisruptionbudgets": {Kind: "PodDisruptionBudget", APIVersion: "policy/v1"},
	"nodes":                {Kind: "Node", APIVersion: "v1"},
}
