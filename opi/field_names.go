package opi

import (
	"errors"
	"regexp"
)

// FieldNames translate the domain's field paths into a caller's. The first match counts; a
// path without a match is the caller's own.
type FieldNames []struct {
	// Domain matches paths of [FieldError], and Caller replaces what it matches, with
	// ${1} for its first group.
	Domain *regexp.Regexp
	Caller string
}

// Translate returns the caller's name of a field.
func (n FieldNames) Translate(field string) string {
	for _, name := range n {
		if name.Domain.MatchString(field) {
			return name.Domain.ReplaceAllString(field, name.Caller)
		}
	}
	return field
}

// Rename returns an error that joins the faults under the caller's names.
func (n FieldNames) Rename(faults []*FieldError) error {
	renamed := make([]error, 0, len(faults))
	for _, fault := range faults {
		renamed = append(renamed, &FieldError{Field: n.Translate(fault.Field), Reason: fault.Reason})
	}
	return errors.Join(renamed...)
}

// Describe returns "<field>: <reason>" of each fault by the caller's names, each once: several
// fields of the domain may come from one of the caller's, as those of the three checks do.
func (n FieldNames) Describe(faults []*FieldError) []string {
	var texts []string
	known := map[string]bool{}
	for _, fault := range faults {
		text := n.Translate(fault.Field) + ": " + fault.Reason
		if !known[text] {
			texts = append(texts, text)
		}
		known[text] = true
	}
	return texts
}
