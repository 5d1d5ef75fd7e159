// Package bbs is the BBS front door: the routes of Diego's BBS that Cloud Controller calls,
// their protobuf messages, and the conversion between those and the domain (package opi).
// Nothing of the wire leaves this package.
package bbs
