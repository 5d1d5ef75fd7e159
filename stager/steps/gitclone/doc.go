// Package gitclone fetches git repositories over HTTP, for buildpacks that users
// name by their repository's URL.
//
// Only the newest commit of what was asked for is fetched, where the server can do
// that. Servers that demand multi_ack (Azure DevOps, AWS CodeCommit) get it. Submodules
// come along. A password is sent to the repository's own server and
// to no other one, and is written nowhere: the clone's configuration names the URL
// without it. Other protocols than HTTP and HTTPS are refused, in submodules too:
// file: would read from where the caller runs, and ssh has no key to show.
//
// What is written is counted, and stops at the caller's limits; nothing is written
// outside of the folder. Errors quote neither passwords nor what the server said.
// Clone may be called several times at once.
package gitclone
