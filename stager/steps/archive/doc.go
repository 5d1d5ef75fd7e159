// Package archive unpacks zip and gzipped tar archives that strangers made, and
// packs folders into gzipped tar archives.
//
// # Unpacking
//
// Unpack writes below one folder and nowhere else, whatever the archive says: names
// that lead out of it are refused, files are opened below the folder's descriptor
// (os.Root), and symbolic links are made after everything else, so that nothing is
// ever written through one of them. Device nodes, FIFOs and sockets are refused, and
// so are links that point out of the folder, unless the caller allows them. What an
// archive unpacks to is counted while it is written; what an archive says about its
// sizes is believed only where that makes it be refused earlier.
//
// A refusal is a *RefusedError that names the entry. Other errors are the disk's or
// the context's. After an error the folder holds part of the archive.
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
