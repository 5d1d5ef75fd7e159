// Package fetch is the first staging step: it brings the app package, the buildpacks
// and the app's build cache into the shared volume, unpacked.
//
// Fetch is the only step that has both credentials for what it fetches and the volume
// that user code gets to see, so it leaves there nothing but the content: archives
// are downloaded into a folder that is removed at the end, also after an error, and a
// git repository's clone doesn't know the password that it was made with.
//
// Several things are fetched at once. The first that fails ends the others; except
// for the cache, without which a build goes on.
package fetch
