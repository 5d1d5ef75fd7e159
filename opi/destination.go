package opi

import (
	"bytes"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
)

// isDestination reports whether text is an IP address, a CIDR or a range
// "first-last" of addresses of one family.
func isDestination(text string) bool {
	if first, last, isRange := strings.Cut(text, "-"); isRange {
		from, errFrom := netip.ParseAddr(first)
		to, errTo := netip.ParseAddr(last)
		return errFrom == nil && errTo == nil && from.BitLen() == to.BitLen() &&
			bytes.Compare(from.AsSlice(), to.AsSlice()) <= 0
	}
	if strings.Contains(text, "/") {
		_, err := netip.ParsePrefix(text)
		return err == nil
	}
	_, err := netip.ParseAddr(text)
	return err == nil
}

// leadingZeros are those of the numbers in an IPv4 address, a range of them or a
// prefix length.
var leadingZeros = regexp.MustCompile(`(^|[-./])0+([0-9])`)

// normalizeDestination returns the destinations that text stands for, and the parts
// of it that are none. Text that is a destination stays as it is.
//
// Cloud Controller sends what the user wrote. Until 2024 it accepted leading zeros,
// which it and Diego read as decimal. Since then it may accept several destinations,
// separated by commas.
func normalizeDestination(text string) (valid, invalid []string) {
	if isDestination(text) {
		return []string{text}, nil
	}
	for _, part := range strings.Split(text, ",") {
		normalized := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, part)
		if !strings.Contains(normalized, ":") {
			normalized = leadingZeros.ReplaceAllString(normalized, "$1$2")
		}
		if isDestination(normalized) {
			valid = append(valid, normalized)
		} else {
			invalid = append(invalid, part)
		}
	}
	return valid, invalid
}
