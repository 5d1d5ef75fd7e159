//go:build bench

package bench_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// fedAPIServer lists as many LRPs as one wants and says nothing more: more than the
// controllers of a real cluster make on a small machine. What it lists are copies of
// what a real API server has of one LRP, encoded as that does it.
type fedAPIServer struct {
	*httptest.Server
	lists map[string]runtime.Object
	// calls are all requests but those for the Lease and those of irene's start: lists
	// and watches.
	calls atomic.Int64
}

// original is what a real API server has of one LRP with one instance.
type original struct {
	set    appsv1.StatefulSet
	pod    corev1.Pod
	secret metav1.PartialObjectMetadata
	node   corev1.Node
}

// identity is one LRP of a fed API server.
type identity struct{ guid, version string }

// newFedAPIServer has number copies of an LRP with one instance each.
func newFedAPIServer(t *testing.T, from original, number int) (*fedAPIServer, []identity) {
	const version = "1000"
	listed := metav1.ListMeta{ResourceVersion: version}
	sets := &appsv1.StatefulSetList{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSetList"}, ListMeta: listed}
	pods := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: listed}
	secrets := &metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}, ListMeta: listed}
	identities := make([]identity, number)
	for i := range number {
		identities[i] = identity{uuid.NewString(), uuid.NewString()}
		set, pod, secret := from.copy(t, identities[i], i)
		sets.Items, pods.Items, secrets.Items = append(sets.Items, set), append(pods.Items, pod), append(secrets.Items, secret)
	}
	s := &fedAPIServer{lists: map[string]runtime.Object{
		"statefulsets": sets, "pods": pods, "secrets": secrets,
		"poddisruptionbudgets": &policyv1.PodDisruptionBudgetList{TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudgetList"}, ListMeta: listed},
		"events":               &corev1.EventList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "EventList"}, ListMeta: listed},
		"nodes":                &corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, ListMeta: listed, Items: []corev1.Node{from.node}},
	}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections() // watches
		s.Close()
	})
	return s, identities
}

// copy is the original with other names, guids and addresses everywhere.
func (o original) copy(t *testing.T, id identity, n int) (set appsv1.StatefulSet, pod corev1.Pod, secret metav1.PartialObjectMetadata) {
	name := fmt.Sprintf("app-%d-space-%s", n, id.guid[:10])
	replace := strings.NewReplacer(
		o.set.Labels["cloudfoundry.org/guid"], id.guid, o.set.Labels["cloudfoundry.org/version"], id.version,
		o.set.Name, name, string(o.set.UID), uuid.NewString(),
		string(o.pod.UID), uuid.NewString(), string(o.secret.UID), uuid.NewString(),
		o.pod.Status.PodIP, fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255))
	for from, into := range map[any]any{&o.set: &set, &o.pod: &pod, &o.secret: &secret} {
		content, err := json.Marshal(from)
		check(t, err)
		check(t, json.Unmarshal([]byte(replace.Replace(string(content))), into))
	}
	return set, pod, secret
}

// kubeconfig leads to the server.
func (s *fedAPIServer) kubeconfig(t *testing.T) string {
	config := clientcmdapi.NewConfig()
	config.Clusters["fed"] = &clientcmdapi.Cluster{Server: s.URL}
	config.Contexts["fed"] = &clientcmdapi.Context{Cluster: "fed"}
	config.CurrentContext = "fed"
	file := path.Join(t.TempDir(), "kubeconfig")
	check(t, clientcmd.WriteToFile(*config, file))
	return file
}

// ServeHTTP implements http.Handler.
func (s *fedAPIServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	list, known := s.lists[path.Base(r.URL.Path)]
	switch {
	case path.Base(path.Dir(r.URL.Path)) == "leases" || path.Base(r.URL.Path) == "leases":
		s.refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound) // nobody leads
	case !known || r.Method != http.MethodGet:
		s.calls.Add(1)
		s.refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
	case query.Get("watch") != "":
		w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf;stream=watch")
		if query.Get("sendInitialEvents") == "true" {
			_ = stream(w, list) // an error is the client's, which has gone
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case query.Get("labelSelector") != "" && !strings.HasPrefix(query.Get("labelSelector"), "cloudfoundry.org/source_type="):
		// Somebody looks for one LRP, which the view did not know.
		s.calls.Add(1)
		s.refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
	default:
		w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
		// An error is the client's, which has gone.
		_ = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(list, w)
	}
}

// stream sends all objects of a list as a watch that begins with them does.
func stream(w io.Writer, list runtime.Object) error {
	encoder, frames := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), protobuf.LengthDelimitedFramer.NewFrameWriter(w)
	send := func(kind string, object runtime.Object) error {
		content, err := runtime.Encode(encoder, object)
		if err != nil {
			return err
		}
		event, err := (&metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: content}}).Marshal()
		if err == nil {
			_, err = frames.Write(event)
		}
		return err
	}
	all, err := meta.ListAccessor(list)
	if err != nil {
		return err
	}
	kind := list.GetObjectKind().GroupVersionKind()
	kind.Kind = strings.TrimSuffix(kind.Kind, "List")
	if err := meta.EachListItem(list, func(object runtime.Object) error {
		object.GetObjectKind().SetGroupVersionKind(kind)
		return send(string(watch.Added), object)
	}); err != nil {
		return err
	}
	end := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		ResourceVersion: all.GetResourceVersion(), Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
	}}
	// Metadata is the first field of every kind, so this decodes as one of theirs.
	end.SetGroupVersionKind(kind)
	return send(string(watch.Bookmark), end)
}

func (s *fedAPIServer) refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status: metav1.StatusFailure, Reason: reason, Code: int32(code), Message: string(reason)})
}
