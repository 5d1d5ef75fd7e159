package opi

import (
	"errors"
	"net/url"
)

var errNotHTTPURL = errors.New("not an http or https URL with a host")

// ParseHTTPURL parses an http or https URL with a host. Its error does not quote the text,
// which may hold credentials.
func ParseHTTPURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || !IsHTTP(u) {
		return nil, errNotHTTPURL
	}
	return u, nil
}

// IsHTTP reports whether the URL has a host and the scheme http or https.
func IsHTTP(u *url.URL) bool {
	return u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}
