package bbs

import (
	"encoding/json"
	"strings"
)

// The functions below split JSON that the back end has stored into the texts of its parts,
// which are copied as they are into an answer. Decoding and encoding the routes of every entry
// of a list would take longer than sending it.

// eachElement calls visit with each element of a JSON array. It returns false if the text is
// not an array.
func eachElement(text string, visit func(element string) bool) bool {
	return eachPart(text, '[', ']', func(at int) int {
		end := valueEnd(text, at)
		if end < 0 || !visit(text[at:end]) {
			return -1
		}
		return end
	})
}

// eachMember calls visit with the name, in its quotes, and the value of each member of a JSON
// object. It returns false if the text is not an object.
func eachMember(text string, visit func(name, value string) bool) bool {
	return eachPart(text, '{', '}', func(at int) int {
		nameEnd := stringEnd(text, at)
		if nameEnd < 0 {
			return -1
		}
		colon := skipSpace(text, nameEnd)
		if byteAt(text, colon) != ':' {
			return -1
		}
		begin := skipSpace(text, colon+1)
		end := valueEnd(text, begin)
		if end < 0 || !visit(text[at:nameEnd], text[begin:end]) {
			return -1
		}
		return end
	})
}

// eachPart calls part with the position of each part between two brackets; part returns where
// it ends, or -1.
func eachPart(text string, opening, closing byte, part func(at int) int) bool {
	at := skipSpace(text, 0)
	if byteAt(text, at) != opening {
		return false
	}
	at = skipSpace(text, at+1)
	if byteAt(text, at) == closing {
		return skipSpace(text, at+1) == len(text)
	}
	for {
		if at = part(at); at < 0 {
			return false
		}
		at = skipSpace(text, at)
		switch byteAt(text, at) {
		case ',':
			at = skipSpace(text, at+1)
		case closing:
			return skipSpace(text, at+1) == len(text)
		default:
			return false
		}
	}
}

// valueEnd returns where the value ends that begins at a position, or -1 if it is not JSON.
func valueEnd(text string, at int) int {
	switch byteAt(text, at) {
	case '"':
		return stringEnd(text, at)
	case '{', '[':
		end := bracketsEnd(text, at)
		if end < 0 || !json.Valid([]byte(text[at:end])) {
			return -1
		}
		return end
	}
	length := strings.IndexAny(text[min(at, len(text)):], ",]} \t\r\n")
	if length < 0 {
		length = len(text) - at
	}
	if length <= 0 || !isLiteral(text[at:at+length]) {
		return -1
	}
	return at + length
}

// isLiteral reports whether the text is a number, true, false or null. Small numbers, which
// ports are, are not parsed.
func isLiteral(text string) bool {
	digits := len(text) < 10 && text[0] != '0'
	for i := 0; digits && i < len(text); i++ {
		digits = text[i] >= '0' && text[i] <= '9'
	}
	return digits || json.Valid([]byte(text))
}

// bracketsEnd returns where the brackets close that open at a position.
func bracketsEnd(text string, at int) int {
	depth := 0
	for at < len(text) {
		switch text[at] {
		case '"':
			end := stringEnd(text, at)
			if end < 0 {
				return -1
			}
			at = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		at++
		if depth == 0 {
			return at
		}
	}
	return -1
}

// stringEnd returns where the string ends that begins at a position. Strings with escapes are
// parsed; others end at the next quote.
func stringEnd(text string, at int) int {
	if byteAt(text, at) != '"' {
		return -1
	}
	escaped := false
	for i := at + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return -1
		case c == '"':
			if escaped && !json.Valid([]byte(text[at:i+1])) {
				return -1
			}
			return i + 1
		}
	}
	return -1
}

func skipSpace(text string, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r') {
		at++
	}
	return at
}

// byteAt returns 0 beyond the end.
func byteAt(text string, at int) byte {
	if at >= len(text) {
		return 0
	}
	return text[at]
}
