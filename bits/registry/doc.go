// Package registry is an OCI registry for one node: the distribution library's
// handlers over a directory of this machine (package store), with users, a bound on
// the disk that it fills, garbage collection while it serves, and metrics.
//
// New opens the directory and takes its lock, so that a second registry on it is
// refused. Handler answers requests from then on. Run does what has to be done from
// time to time and owns the one goroutine that this takes; without it nothing is
// ever removed. Close gives the directory back once Run has returned and no request
// is running. Server makes the HTTP server; listening, with TLS or without, is the
// caller's.
//
// What it promises:
//
//   - Nobody gets in without a user's name and password, on any path, unless
//     Options.Anonymous is set. Users may be allowed to read only. Passwords are
//     files, read again when they change. Before the password is checked, a request
//     costs its headers of at most 16 KiB and a short line of the log.
//   - A credential of a build (package credential) is good for the build's time and stores
//     one droplet: it uploads blobs to one repository, and puts manifests there by digest
//     and under checksums that have no tag yet. It replaces, deletes and mounts nothing,
//     and reads no blob.
//   - Content that a client was told to be there stays for Options.MinAge and is then
//     kept by the manifests that refer to it; package store says how. Collections need
//     no pause of the clients.
//   - Tags go only by DELETE, or by the rules in Options.Unused if there are any.
//     A HEAD of a manifest keeps its tags.
//   - When less than Options.MinFreeBytes are free, uploads are answered with 507 and
//     a text, those under way are cut off and their bytes given back; reads, deletions,
//     mounts and manifests go on, the last two until half of the bound. A collection
//     starts at once.
//   - A connection that moves no byte for two minutes in the middle of a request is
//     closed.
//   - An upload lives as long as the process. After a restart clients begin it anew;
//     what was complete is there.
//
// The library has one goroutine of its own for each New, which waits for events that
// nobody asks for and never ends; it keeps metrics in Prometheus's default registry,
// which nobody reads; and it logs through logrus's standard logger, see
// AdoptLibraryLogs.
package registry
