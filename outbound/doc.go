// Package outbound restricts connections to servers whose addresses users choose: the
// registries of docker images, and what those redirect to. Without it, a user could make
// Irene connect to the node's metadata service, the API server or another tenant's pods.
//
// # Usage
//
//	rules, err := outbound.New(outbound.Options{Allowed: []string{"registry.example:5000", "http://10.8.0.0/16"}})
//	client := http.Client{Transport: rules.Transport(network)} // for hosts that users choose
//	platform := rules.ForPlatform()                            // for hosts that Cloud Controller names
//	transport.DialContext = platform.DialContext
//
// # Promises
//
//   - [Rules.DialContext] checks the address that it connects to, after the name was
//     resolved. A name that changes its address between two look-ups gains nothing, and of
//     a host with several addresses only those that pass are used.
//   - Only public addresses pass, and what [Options].Allowed names. [Rules.ForPlatform] lets
//     private addresses pass, too, but no loopback or link-local address.
//   - [Rules.Transport] sends nothing without TLS, except to hosts that are allowed as
//     http://, and follows no redirect from https to http.
//   - A [RefusedError] is returned before anything was sent. Its text names the address and
//     is for logs, not for users, who would learn from it what names in the cluster mean.
//
// Less formally: a user who names an image of 169.254.169.254 gets "not allowed", an
// operator whose users pull from a registry at a private address lists that registry, and
// an HTTP proxy from the environment is connected to wherever it is.
//
// All types are safe for concurrent use.
package outbound
