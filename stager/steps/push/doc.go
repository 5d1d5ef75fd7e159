// Package push is the last staging step: it hands the droplet to Cloud Controller and
// to the registry, and the build cache to Cloud Controller.
//
// What it takes lies in a volume that user code could write to, while push has
// credentials. So every name is opened one path element at a time, relative to the
// descriptor of the folder around it and without following links, and what isn't a
// regular file of bounded size is refused. The descriptor is kept: digests and all
// transfers are of one file. The result is read, checked and written anew; nothing of
// what user code wrote there goes on unseen.
//
// Droplet and cache are sent at the same time, the droplet to both places. Run succeeds
// only when Cloud Controller and the registry have it. A cache that can't be sent
// fails nothing.
package push
