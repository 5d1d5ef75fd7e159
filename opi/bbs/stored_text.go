package bbs

import "strings"

// storedText reads a JSON array of objects in the form in which Go encodes structs: no spaces,
// members in their order, no escapes. What is not of this form sets odd, and what is read after
// that has no meaning.
type storedText struct {
	text string
	// at is how much of the text was read.
	at  int
	odd bool
	// done is set behind the array, which ends the text.
	done bool
}

func newStoredText(text string) storedText {
	return storedText{text: text, odd: hasEscape(text)}
}

func (s *storedText) isRead() bool { return s.done && !s.odd && s.at == len(s.text) }

// begin appends the beginning of the array, and all of it if it is empty, as an empty text is.
func (s *storedText) begin(to []byte) (_ []byte, more bool) {
	if s.text == "" || s.text == "[]" {
		s.at, s.done = len(s.text), true
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

// isAtEnd reports whether an element has no more members.
func (s *storedText) isAtEnd() bool { return s.at < len(s.text) && s.text[s.at] == '}' }

// skip reports whether the text goes on so, and reads it.
func (s *storedText) skip(prefix string) bool {
	if !strings.HasPrefix(s.text[s.at:], prefix) {
		return false
	}
	s.at += len(prefix)
	return true
}

func (s *storedText) must(prefix string) {
	if !s.skip(prefix) {
		s.odd = true
	}
}

// untilQuote reads the rest of a string.
func (s *storedText) untilQuote() string {
	rest := s.text[s.at:]
	end := strings.IndexByte(rest, '"')
	if end < 0 {
		s.odd = true
		return ""
	}
	s.at += end + 1
	return rest[:end]
}

// hasEscape reports whether a text has a backslash, or a control character, which needs one in
// a string. It looks at eight bytes at once: a byte below 0x20 borrows in the subtraction; one
// above 0x7f does not count.
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
	rest := s.text[s.at:]
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	if end == 0 || end > 9 || end > 1 && rest[0] == '0' {
		s.odd = true
		return ""
	}
	s.at += end
	return rest[:end]
}

// flatObject reads an object of strings.
func (s *storedText) flatObject() string {
	begin := s.at
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
	return s.text[begin:s.at]
}
