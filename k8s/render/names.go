package render

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/irene-cf/irene/opi"
)

const (
	// namePrefixBytes and nameSuffixBytes make names of at most 51 bytes, so that
	// "<name>-<index>" stays within the 63 bytes of a pod's host name, and
	// "<name>-<revision hash>" within those of a label.
	namePrefixBytes = 40
	nameSuffixBytes = 10
)

// statefulSetName is the readable name that people find an app by:
// "<app>-<space>-<digest>". The digest of guid and version keeps LRPs of equal
// app and space names apart. Identity is never read from it.
func statefulSetName(lrp opi.LRP) string {
	prefix := dnsLabel(lrp.App.Name+"-"+lrp.Space.Name, namePrefixBytes)
	if prefix == "" {
		prefix = dnsLabel(lrp.GUID, namePrefixBytes)
	}
	suffix := shortDigest([]byte(lrp.ProcessGUID()))
	if prefix == "" {
		return "lrp-" + suffix
	}
	return prefix + "-" + suffix
}

// dnsLabel keeps of text what a DNS label may have: lower-case letters and
// digits, with single dashes for what stood between them.
func dnsLabel(text string, limit int) string {
	var label strings.Builder
	dash := false
	for _, r := range strings.ToLower(text) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			if dash && label.Len() > 0 {
				label.WriteByte('-')
			}
			dash = false
			label.WriteRune(r)
		} else {
			dash = true
		}
		if label.Len() >= limit {
			break
		}
	}
	return strings.TrimRight(label.String()[:min(limit, label.Len())], "-")
}

// LabelText keeps of text what a label value may have, for labels that people
// select by; the exact text stands in an annotation.
func LabelText(text string) string {
	mapped := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		default:
			return '-'
		}
	}, text)
	if len(mapped) > 63 {
		mapped = mapped[:63]
	}
	return strings.Trim(mapped, "-_.")
}

// shortDigest is the first ten hex digits of a SHA-256, enough to tell LRPs and
// their contents apart in names.
func shortDigest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])[:nameSuffixBytes]
}
