package main

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// onlyClients answers 403 unless the client's verified certificate has one of
// names as its common name or among its DNS names; fault writes the answer. TLS has to
// come before it.
func onlyClients(listener string, names []string, fault faultWriter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			fault(w, http.StatusForbidden, "a client certificate is required")
			return
		}
		client := r.TLS.VerifiedChains[0][0]
		if !slices.ContainsFunc(namesOf(client), func(name string) bool { return slices.Contains(names, name) }) {
			fault(w, http.StatusForbidden, fmt.Sprintf("the client certificate of %s is not among those allowed by %s.tls.client_names", describeClient(client), listener))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// namesOf returns each name once: the common name is mostly one of the DNS names, too.
func namesOf(client *x509.Certificate) []string {
	if client.Subject.CommonName == "" || slices.Contains(client.DNSNames, client.Subject.CommonName) {
		return client.DNSNames
	}
	return append([]string{client.Subject.CommonName}, client.DNSNames...)
}

func describeClient(client *x509.Certificate) string {
	names := namesOf(client)
	if len(names) == 0 {
		return "a nameless client"
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}
