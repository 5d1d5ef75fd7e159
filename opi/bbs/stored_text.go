package bbs

import "strings"

// storedText reads a JSON array of objects in the form in which Go encodes structs: no spaces,
// members in their order. What is not of this form sets odd, and what is read after that has
// no meaning.
type storedText struct {
	text string
	odd  bool
	// done is set behind the array, which ends the text.
	done bool
}

func (s *storedText) isRead() bool { return s.done && !s.odd && s.text == "" }

// begin appends the beginning of the array, and all of it if it is empty, as an empty text is.
func (s *storedText) begin(to []byte) (_ []byte, more bool) {
	if s.text == "" || s.text == "[]" {
		s.text, s.done = "", true
		return append(to, "[]"...), false
	}
	s.must("[")
	return append(to, '['), !s.odd
}

// next appends the end of an element, and of the array behind the last one.
func (s *storedText) next(to []byte) (_ []byte, more bool) {
	switch {
	case s.odd:
		return to, false
	case s.skip("},"):
		return append(to, "},"...), true
	}
	s.must("}]")
	s.done = true
	return append(to, "}]"...), false
}

// skip reports whether the text goes on so, and reads it.
func (s *storedText) skip(prefix string) bool {
	rest, ok := strings.CutPrefix(s.text, prefix)
	s.text = rest
	return ok
}

func (s *storedText) must(prefix string) {
	if !s.skip(prefix) {
		s.odd = true
	}
}

// untilQuote reads the rest of a string without escapes.
func (s *storedText) untilQuote() string {
	end := strings.IndexByte(s.text, '"')
	if end < 0 || hasEscape(s.text[:end]) {
		s.odd = true
		return ""
	}
	value := s.text[:end]
	s.text = s.text[end+1:]
	return value
}

// hasEscape reports whether a string has a backslash, or a control character, which needs one.
// It looks at eight bytes at once: a byte below 0x20 borrows in the subtraction; one above 0x7f
// does not count.
func hasEscape(value string) bool {
	const spaces, tops = 0x2020202020202020, 0x8080808080808080
	rest := value
	for ; len(rest) >= 8; rest = rest[8:] {
		word := uint64(rest[0]) | uint64(rest[1])<<8 | uint64(rest[2])<<16 | uint64(rest[3])<<24 |
			uint64(rest[4])<<32 | uint64(rest[5])<<40 | uint64(rest[6])<<48 | uint64(rest[7])<<56
		if (word-spaces)&^word&tops != 0 {
			return true
		}
	}
	for i := range len(rest) {
		if rest[i] < ' ' {
			return true
		}
	}
	return strings.IndexByte(value, '\\') >= 0
}

// optional reads the string of a member that may be missing; such a string is not empty.
func (s *storedText) optional(prefix string) string {
	if !s.skip(prefix) {
		return ""
	}
	return s.untilQuote()
}

// number reads a small number without sign.
func (s *storedText) number() string {
	end := 0
	for end < len(s.text) && s.text[end] >= '0' && s.text[end] <= '9' {
		end++
	}
	if end == 0 || end > 9 || end > 1 && s.text[0] == '0' {
		s.odd = true
		return ""
	}
	value := s.text[:end]
	s.text = s.text[end:]
	return value
}

// flatObject reads an object of strings.
func (s *storedText) flatObject() string {
	begin := s.text
	s.must("{")
	for !s.odd {
		s.must(`"`)
		s.untilQuote()
		s.must(`:"`)
		s.untilQuote()
		if !s.skip(",") {
			break
		}
	}
	s.must("}")
	return begin[:len(begin)-len(s.text)]
}
