// Package droplet turns a droplet, as Cloud Foundry's staging makes it, into one
// layer of an OCI image, rooted at /home/vcap and owned by vcap (uid and gid
// 2000). It converts one stream to another and knows no registry.
//
// # The same droplet makes the same layer
//
// Nothing of the machine, the moment or the number of processors goes into a
// layer. Entries keep the droplet's order, their permissions and their time of
// change, cut to whole seconds from 1970 to 2242. Users' and groups' names are
// left out, PAX headers are there only for what a plain header can't say (long
// or non-ASCII names, 8 GiB and more).
//
// DiffID, the digest of the uncompressed layer, stays the same across releases of
// Irene and of Go; a test pins it. Digest, that of the compressed one, stays the
// same within a release: a newer compressor may make other bytes of the same.
//
// # What a layer has that the droplet needn't have
//
// First come home (root's, 0755) and home/vcap (vcap's, 0755, whatever the
// droplet's own root says: staging often leaves a private temporary folder
// there). Folders that entries lie in and that the droplet doesn't list are made
// right before those entries, because container runtimes would give them to root.
// Of app, deps, logs, profile.d and tmp, which launching an app counts on, those
// that the droplet doesn't have come last. All of these are 0755 and of 1970.
//
// # What happens to odd entries
//
// Droplets are made by user code, and container runtimes unpack layers as root.
//
//	refused  "..", names that begin with .wh. (runtimes take them for the removal
//	         of files), parts of more than 255 bytes, paths of more than 3840,
//	         unknown kinds, whatever lies below something that is no folder in
//	         the same droplet (nothing is ever written through a symbolic link),
//	         hard links to what is not in the droplet before them, something else
//	         by the name of a folder, global PAX headers that change what entries
//	         mean
//	changed  setuid and setgid bits are cleared and extended attributes (file
//	         capabilities, ACLs, user.*) and devices left out; all are counted in
//	         the Layer. Slashes in front of names are dropped, as tar does. Sparse
//	         files become plain files full of zeros. A hard link to a symbolic
//	         link becomes a symbolic link of its own; one to itself, as tar makes
//	         of a file that was added twice, is dropped
//	kept     symbolic links wherever they point, since only inside the container
//	         that means anything; named pipes, which container runtimes make; names
//	         that are not UTF-8; sticky bits
//
// A name that comes twice, as after tar -r, is written twice, since a layer is made in one
// pass and can't take the first back. The last one counts, as when unpacking: containerd
// (archive.Apply) and CRI-O (containers/storage, UnpackLayer) remove what is there by the name
// of an entry, and only apply a folder's permissions to a folder.
//
// Droplets may be gzipped, in one member or several, or plain tar archives. They
// must be whole: a stream that is cut off, lacks tar's end (two blocks of zeros)
// or holds anything but zeros after it is refused, so that a part of a droplet
// never becomes a layer.
//
// # Errors
//
// Once ctx has ended, any error wraps context.Cause(ctx) and nothing else. A wrong
// option is an *opi.FieldError, found before anything is read. Of every other error
// one of these is true, unless a compressor itself is at fault:
//
//	errors.Is(err, ErrRefused)   the droplet is at fault; never try again
//	errors.Is(err, ErrChecksum)  what came is not the promised droplet
//	errors.Is(err, ErrSource)    reading the droplet failed
//	errors.Is(err, ErrSink)      writing the layer failed
//
// When a checksum was promised, a fault in the content is only called a refusal
// after the whole stream was read and the checksum was right: a droplet that was
// damaged on its way is ErrChecksum. With any error, what was written so far is
// not a complete compressed stream.
//
// # Concurrency
//
// Reading and hashing the droplet, decompressing it, rewriting it (with the hash
// of the uncompressed layer), compressing, and writing the layer (with the hash of
// the compressed one) go on at the same time, a bounded number of blocks ahead of
// each other. Convert owns the goroutines of it and returns when their work has
// ended: neither the source nor the sink is touched afterwards. A Read of the one
// or Write to the other that is under way can't be interrupted, so Convert waits
// for it: give it a source and a sink that fail when ctx ends, as the body of an
// HTTP request made with ctx does.
//
// Memory doesn't depend on the droplet's size: 10 to 35 MiB, by compression and
// level (zstd from level 10 on: 65), and what is remembered of each entry (see
// Options.MaxEntries). Nothing is written to disk.
package droplet
