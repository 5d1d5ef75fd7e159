package control

import (
	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/view"
)

// Options are what all controllers work with.
type Options struct {
	// Namespace is the apps'.
	Namespace string
	Client    kubernetes.Interface
	// View must not be running yet when a controller is made.
	View         *view.View
	StatefulSets *live.StatefulSets
	// Events shows people with kubectl what Irene did.
	Events record.EventRecorder
	Logger lager.Logger
	// Registerer takes the controller's metrics.
	Registerer prometheus.Registerer
	// Clock is the source of the time and of timers; the real one when nil.
	Clock clock.WithTicker
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	return o
}
