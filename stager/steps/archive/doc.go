// Package archive unpacks zip and gzipped tar archives that strangers made, and
// packs folders into gzipped tar archives.
//
// # Unpacking
//
// Unpack writes below one folder and nowhere else, whatever the archive says: names
// that lead out of it are refused, files are opened below the folder's descriptor
// (os.Root), and symbolic links are made after everything else, so that nothing is
// ever written through one of them. Device nodes, FIFOs and sockets are refused. What an
// archive unpacks to is counted while it is written; what an archive says about its
// sizes is believed only where that makes it be refused earlier.
//
// Symbolic links keep their targets, wherever they lead: absolute ones are common in
// apps and buildpacks and are resolved in the container that runs them. So the unpacked
// folder is hostile to whoever follows its links. Read it as Pack does, through os.Root
// or with O_NOFOLLOW, unless the reader is confined like the user code itself.
//
// A refusal is a *RefusedError that names the entry. Other errors are the disk's or
// the context's. After an error the folder holds part of the archive.
//
// In zip archives made on Windows, backslashes in names without a slash separate folders.
// Elsewhere a backslash is part of a name.
//
// Of a file's mode the permissions are kept, without set-user-ID, set-group-ID and
// sticky, and its owner may always read and write it; times of modification are
// kept. Everything belongs to the user who unpacks.
//
// # Packing
//
// Pack writes an archive in one pass, in the order of names, and follows no symbolic
// link. The archive depends on nothing but what it holds: the same files give the
// same bytes.
//
// Goroutines that a call starts end before it returns.
package archive
