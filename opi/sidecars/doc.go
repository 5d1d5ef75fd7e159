// Package sidecars holds the forms in which the processes of one instance are described to
// cmd/launch, and in which launch names them in its output and at its end.
//
// # Usage
//
//	app := sidecars.AppSource("web")
//	members := sidecars.Members{App: app, Sidecars: []sidecars.Sidecar{{
//		Source:      sidecars.SourceOf(app, "logger"),
//		Command:     "./logger",
//		Environment: map[string]string{"MEMORY_LIMIT": "IRENE_SIDECAR_1_MEMORY_LIMIT"},
//	}}}
//	arguments, err := members.Arguments()                 // package k8s/render
//	members, rest, err := sidecars.Parse(os.Args[1:])     // cmd/launch
//	source, ok := sidecars.ParseEnd(message, exitStatus)  // package k8s/view
//
// # Arguments
//
// An instance with sidecars runs "launch --source=SOURCE --sidecar=JSON --sidecar=JSON …". The
// first is the app's source, and each JSON is a [Sidecar]. Values of variables are never in
// the arguments: a sidecar's own value is in another variable of the container, by the name
// that [Variable] returns, so that the pod spec can refer to a Secret for it.
//
// # Lines
//
// A line that the app writes is passed on byte for byte. A line of a sidecar begins with
// [Prefix], which is "[SOURCE] ". A line that is too long for one write is passed on in pieces,
// each a line of its own: all but the last one begin with [ContinuedPrefix], "[SOURCE]+ ". A
// reader that has the sources from the arguments compares the beginning of each line with
// these prefixes, the longest first, and joins the pieces of one source and stream. Pieces of
// other processes may come between them. An app that writes such a prefix itself passes for
// its own sidecar.
//
// # End
//
// launch writes [End] to the container's termination message when the first process has
// ended. Kubernetes keeps it with the container's exit status.
package sidecars
