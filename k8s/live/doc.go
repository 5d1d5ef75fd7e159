// Package live reads and changes the StatefulSets and pods of LRPs at the API server. The
// view (package view) answers what may be a moment old; this package is for what must not be:
// a write, or a decision that can't be undone.
//
// # Usage
//
//	sets := live.New(live.Options{Client: client, View: appsView, Namespace: "cf-apps"})
//	set, err := sets.Get(ctx, name, uid)
//	err = sets.Change(ctx, set, func(set *appsv1.StatefulSet) (*live.Patch, error) {
//		return &live.Patch{Metadata: live.Metadata{Annotations: changes}}, nil
//	})
//
// What it promises:
//
//   - A write meets the object that was found, by its uid, and with Change and Patch the very
//     version of it. If that is gone or has changed, the error is [ErrStopped] or [ErrChanged].
//   - Whatever is written, or found to be gone, is noted in the view, so that the next read of
//     the view includes it.
//   - Errors of the API server are classified (package apierror).
//
// All methods are safe for concurrent use, also by several replicas.
package live
