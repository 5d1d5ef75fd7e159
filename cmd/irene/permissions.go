package main

import (
	"slices"
	"strings"
)

// permission is what irene may have to do with one kind of object.
type permission struct {
	group, resource string
	verbs           []string
	// cluster is for objects outside of namespaces; others are in namespace.
	cluster   bool
	namespace string
	// name is set where one object is enough. It does not count for create.
	name string
	// without is what works differently without it; empty where irene needs it.
	without string
}

// String is the resource as kubectl writes it.
func (p permission) String() string {
	if p.group == "" {
		return p.resource
	}
	return p.resource + "." + p.group
}

func verbs(text string) []string { return slices.Clip(strings.Fields(text)) }
