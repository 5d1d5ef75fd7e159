// Package certificates keeps what PEM files hold in use and up to date, for who serves
// and who calls alike.
//
// Files are read again, at most once every CheckInterval, when somebody asks for what was
// made of them. They are compared by content, so it makes no difference how they are
// replaced (Kubernetes swaps a symbolic link for a Secret's files). The files of one Kept
// count together: as long as one of them can't be used, all of the last good ones stay,
// and that is logged once. It owns no goroutine.
package certificates
