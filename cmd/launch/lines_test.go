package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	. "github.com/onsi/gomega"
)

// writes collects each write.
type writes [][]byte

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, bytes.Clone(p))
	return len(p), nil
}

// joined takes the prefixes off again, as a reader of the log does.
func (w writes) joined() string {
	var text strings.Builder
	for _, line := range w {
		if piece, ok := bytes.CutPrefix(line, []byte("[S]+ ")); ok {
			text.Write(bytes.TrimSuffix(piece, []byte("\n")))
			continue
		}
		text.Write(bytes.TrimPrefix(line, []byte("[S] ")))
	}
	return text.String()
}

func TestLines(t *testing.T) {
	long := strings.Repeat("0123456789☃", 2000)
	for _, text := range []string{
		"", "\n", "one\n", "one\n\ntwo\r\n", "no line feed", long, long + "\n", long + "\n" + long + "\nshort\n",
		strings.Repeat("x", maxWrite-6) + "\n", strings.Repeat("x", maxWrite-5) + "\n", strings.Repeat("\xff", 9000), "[S] forged\n",
	} {
		for name, from := range map[string]io.Reader{"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
			g := NewWithT(t)
			var written writes
			newLineWriter(&written, "[S] ", "[S]+ ").copyFrom(from)
			want := text
			if text != "" && !strings.HasSuffix(text, "\n") {
				want += "\n"
			}
			g.Expect(written.joined()).To(Equal(want), name)
			for _, line := range written {
				g.Expect(len(line)).To(BeNumerically("<=", maxWrite), "one write is not torn apart")
				g.Expect(bytes.Count(line, []byte("\n"))).To(Equal(1))
				g.Expect(utf8.Valid(line)).To(Equal(utf8.ValidString(text)), "no character is cut")
			}
		}
	}
}

func TestAReaderThatIsGoneDoesNotStopTheSidecar(t *testing.T) {
	from := strings.NewReader(strings.Repeat("line\n", 10000))
	newLineWriter(failing{}, "[S] ", "[S]+ ").copyFrom(from)
	NewWithT(t).Expect(from.Len()).To(BeZero())
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
