// Package reload keeps what was made of files (certificates, passwords) up to date with the
// files.
//
// # Usage
//
//	config, err := reload.Load(reload.Source[*tls.Config]{
//		Read: readFiles, Make: parse, Kind: "certificates", Logger: logger, Now: time.Now,
//	})
//	current := config.Current() // with each connection
//
// # Promises
//
//   - Files are read again, at most once every [CheckInterval], when [Value.Current] is called.
//     They are compared by content, so it makes no difference how they are replaced
//     (Kubernetes swaps a symbolic link for a Secret's files).
//   - The files of one [Value] count together: while one of them can't be used, the value made
//     of the last good ones stays, and that is logged once.
//   - The package owns no goroutine.
package reload
