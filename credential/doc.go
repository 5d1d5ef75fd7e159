// Package credential reads user names and passwords from files, as Kubernetes mounts the
// values of a Secret.
//
// # Usage
//
//	username, password, err := credential.ReadPair(usernameFile, passwordFile)
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
// Nothing is cached: a changed file counts with the next call. Errors name the file and
// never hold a value.
package credential
