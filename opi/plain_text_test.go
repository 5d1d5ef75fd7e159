package opi

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	. "github.com/onsi/gomega"
)

func TestShorten(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Shorten("abc", 3)).To(Equal("abc"))
	g.Expect(Shorten("abcdef", 5)).To(Equal("ab…"))
	g.Expect(Shorten("aéé", 4)).To(Equal("a…"), "between characters")
	g.Expect(Shorten("\x80\x80\x80\x80\x80", 4)).To(Equal("…"))
}

func TestPlainText(t *testing.T) {
	g := NewWithT(t)
	g.Expect(PlainText(" exec: \x1b[31mred\x1b[0m\r\n\tagain\u0000\u009b2J\u202e\u2028 ", 100)).To(Equal("exec:  [31mred [0m \n\tagain  2J"))
	g.Expect(PlainText("a\xffb", 100)).To(Equal("a\uFFFDb"))
}

func FuzzPlainText(f *testing.F) {
	f.Add("text\x00\xff\u2028", 10)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 3 + limit&0xfff
		plain := PlainText(text, limit)
		if len(plain) > limit || !utf8.ValidString(plain) || strings.ContainsFunc(plain, func(r rune) bool {
			return unicode.IsControl(r) && r != '\n' && r != '\t'
		}) {
			t.Errorf("%q becomes %q", text, plain)
		}
	})
}
