// Package store keeps a registry's content in one directory of one machine. It
// is a storage driver for the distribution library, which decides what lies
// where (see layout.go), so that a directory of the well-known registry image can
// be taken over as it is; and it removes what nothing refers to any more, while
// the registry serves.
//
// What it promises:
//
//   - A path holds what was written to it as a whole or nothing. Small files are
//     written beside the content and renamed into their place, blobs are renamed
//     by the library after their digest was checked. Killing the process leaves
//     uploads that nobody sees, and Open throws its temporary files away.
//   - What the library was told to be written outlives a loss of power: files and
//     the directories that name them are synced before the call returns. Uploads
//     are synced once, when they are complete.
//   - One process per directory: Open takes a lock that ends with the process.
//   - Collect and the removal of idle uploads take nothing that a client was told
//     to exist within the minimum age. Each time the library finds a blob, the link
//     of a blob or a manifest, the file's modification time becomes the present, at
//     a moment at which nothing is being removed. A client that has learnt of a
//     blob (by HEAD, by a mount, by an upload that turned out to be there already)
//     therefore has the minimum age to refer to it, and a manifest that is accepted
//     keeps what it refers to whether or not Collect has seen it. What was removed
//     first is reported missing, and the client sends it again.
//   - Reads work on a full disk.
//
// No goroutine outlives a call. All methods may be called at once; Collect and
// PurgeUploads run one at a time.
package store
