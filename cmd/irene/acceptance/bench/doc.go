// Package bench measures Irene against a real API server with fake nodes: "make
// bench". Machines differ and are noisy, so what counts are ratios against the
// baseline in the same run, a bare client that does the same writes.
package bench
