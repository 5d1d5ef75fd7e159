// Package transfer moves files between the staging steps and the platform over
// HTTP: downloads to a file with checksum and size limit, uploads from a file.
//
// # Credentials
//
// A client certificate is presented only to the host of a URL that the platform made
// (Trusted), never to a URL that a user made, and never to a host that one was
// redirected to: user and redirect could choose something that only the platform
// may read, and have it handed to user code. Where the server won't have the
// certificate, the same request is made without one. A password in a URL goes to
// that URL's host alone.
//
// Errors and everything else that this package says name the thing and the host, and
// never quote passwords, queries or bodies: queries carry signatures, and servers
// like to echo them.
//
// # Patience
//
// What may succeed later (no connection, status 408, 425, 429 and 5xx, a transfer
// that stalls or breaks off) is tried again with growing pauses, for as long after the
// first failure as Patience says; a server's Retry-After is kept within bounds. The log
// says so. Content that has another checksum is fetched a few times. Everything else
// is final at once.
//
// An upload is not repeated once Cloud Controller is known to have taken it, see
// [Client.Upload].
//
// A Client may be used by several goroutines. Its calls start none that outlive them.
package transfer
