package k8s

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/clientcmd"
)

// Clients talk to the API server without a limit on the client's side: the
// server's own priority and fairness decides (deploy a FlowSchema for Irene).
type Clients struct {
	Typed    kubernetes.Interface
	Metadata metadata.Interface
}

// NewClients connects by a kubeconfig file, or from inside the cluster when
// kubeconfig is empty. At most maxParallel calls are under way at a time; watches
// do not count.
func NewClients(kubeconfig string, maxParallel int, registerer prometheus.Registerer) (Clients, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return Clients{}, fmt.Errorf("read Kubernetes configuration: %w", err)
	}
	config.QPS = -1
	config.UserAgent = "irene"
	config.Wrap(boundAndCount(maxParallel, registerer))

	// The metadata client negotiates its content type by itself.
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return Clients{}, fmt.Errorf("make Kubernetes metadata client: %w", err)
	}
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Clients{}, fmt.Errorf("make Kubernetes client: %w", err)
	}
	return Clients{Typed: typed, Metadata: metadataClient}, nil
}

// boundAndCount bounds parallel calls and counts them by verb, resource and code.
func boundAndCount(maxParallel int, registerer prometheus.Registerer) func(http.RoundTripper) http.RoundTripper {
	places := make(chan struct{}, max(1, maxParallel))
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "irene_kubernetes_calls_total",
		Help: "Calls to the API server, by verb, resource and status code (0: no answer).",
	}, []string{"verb", "resource", "code"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "irene_kubernetes_call_seconds",
		Help:    "Time from a call to the API server to the head of its answer, waiting for a place included; without watches.",
		Buckets: prometheus.ExponentialBuckets(0.002, 2, 14),
	}, []string{"verb", "resource"})
	inFlight := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irene_kubernetes_calls_in_flight",
		Help: "Calls that wait for the API server's answer; without watches.",
	}, func() float64 { return float64(len(places)) })
	registerer.MustRegister(calls, seconds, inFlight)
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			verb, resource := operation(request)
			if verb != "watch" {
				start := time.Now()
				defer func() { seconds.WithLabelValues(verb, resource).Observe(time.Since(start).Seconds()) }()
				select {
				case places <- struct{}{}:
					defer func() { <-places }()
				case <-request.Context().Done():
					return nil, request.Context().Err()
				}
			}
			response, err := next.RoundTrip(request)
			code := "0"
			if err == nil {
				code = fmt.Sprint(response.StatusCode)
			}
			calls.WithLabelValues(verb, resource, code).Inc()
			return response, err
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip makes the function an http.RoundTripper.
func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// operation names a call as Kubernetes' own metrics do: the verb, and the resource,
// which stands after the namespace if it belongs to one, else after the API's version.
func operation(request *http.Request) (verb, resource string) {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	switch {
	case len(parts) > 0 && parts[0] == "api": // api/v1/…
		parts = parts[min(2, len(parts)):]
	case len(parts) > 0 && parts[0] == "apis": // apis/<group>/<version>/…
		parts = parts[min(3, len(parts)):]
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) == 0 {
		return strings.ToLower(request.Method), "other"
	}
	resource = parts[0]
	named := len(parts) > 1
	switch {
	case request.Method == http.MethodGet && request.URL.Query().Has("watch"):
		return "watch", resource
	case request.Method == http.MethodGet && named:
		return "get", resource
	case request.Method == http.MethodGet:
		return "list", resource
	case request.Method == http.MethodPost:
		return "create", resource
	case request.Method == http.MethodPut:
		return "update", resource
	default:
		return strings.ToLower(request.Method), resource
	}
}
