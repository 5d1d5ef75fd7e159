package opi

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxMessageBytes bounds texts for users that come from elsewhere, such as a container
// runtime's or a registry's reason for an error.
const MaxMessageBytes = 2 << 10

// ellipsis marks the end of a text that was cut.
const ellipsis = "…"

// Shorten returns text if it has at most limit bytes. Otherwise it returns a beginning of
// text, cut between characters, that has at most limit bytes with the mark "…" at its end.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := max(0, limit-len(ellipsis))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

// PlainText makes a text that comes from elsewhere fit to be kept, sent and shown: valid
// UTF-8 of at most limit bytes, without space around it and without characters that
// control a terminal or the direction of writing. Newlines and tabs stay.
func PlainText(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		// U+2028 and U+2029 end lines as well.
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, text)
	return Shorten(strings.TrimSpace(text), limit)
}
