//go:build controlplane

package controlplane_test

import "github.com/irene-cf/irene/fixtures/controlplane"

// Short names for the functions of the controlplane package that most specs call.
var (
	app         = controlplane.App
	answered    = controlplane.Answered
	desire      = controlplane.DesireApp
	states      = controlplane.AwaitStates
	running     = controlplane.AwaitRunning
	run         = controlplane.RunApp
	instancesOf = controlplane.InstancesOf
	annotation  = controlplane.Annotation
	metrics     = controlplane.Metrics
	metric      = controlplane.Gauge
	of          = controlplane.SelectGUID
	container   = controlplane.Container
)

// Short names for faults of the API server and the requests that they hit.
var (
	status  = controlplane.AnswerStatus
	busy    = controlplane.AnswerBusy
	silent  = controlplane.NeverAnswer
	calls   = controlplane.Calls
	creates = controlplane.Creates
	writes  = controlplane.WritesApps
)

// Short names for the states of pods that specs report.
var (
	runs       = controlplane.Running
	waits      = controlplane.Waiting
	conditions = controlplane.SetReady
	exited     = controlplane.Exited
	died       = controlplane.Crashed
	backsOff   = controlplane.BackingOff
	runsAgain  = controlplane.Restarted
)
