// Package credential reads user names and passwords from files, as Kubernetes mounts the
// values of a Secret, and makes credentials of single builds from them.
//
// # Usage
//
//	username, password, err := credential.ReadPair(usernameFile, passwordFile)
//
//	key, err := credential.NewBuildKey(username, password) // Irene and its registry
//	name, err := credential.Build{GUID: guid, Repository: droplets, Expires: end}.Username()
//	secret := key.Password(name) // goes to the build
//
// # The form of a file
//
// A file has one value a line. Line ends and empty lines do not count; every other
// character does, also a space. A client uses the first value, a server takes all of
// them ([ReadAll]). So one file, or one key of one Secret, serves both during a rotation:
// the new password is added below the old one, then moved to the first line, and the old
// one is removed at last. Every reader of such a file must use this package: one that
// takes the whole file for the password breaks with the second line.
//
// # Credentials of builds
//
// A build's user name ([Build.Username]) describes what the build may do, and its password
// is a MAC over that name. Irene's registry checks both without a store ([BuildKey]), and
// package bits/registry enforces the scope. The key follows from a password of a user who
// may write. While a password is changed, the registry has several keys, one for each
// line of the file.
//
// Nothing is cached: a changed file counts with the next call. Errors name the file and
// never hold a value.
package credential
