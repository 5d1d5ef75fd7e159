package build

import (
	"bytes"
	"strings"
)

// windowsLineEnds describes a script whose interpreter line ends with CRLF.
const windowsLineEnds = "its lines end with CRLF, as on Windows, so that the name of its interpreter ends with a carriage return; save it with Unix line ends (LF)"

var byteOrderMark = []byte("\uFEFF")

// firstLine is the first line of a script as the kernel reads it.
type firstLine struct {
	// words are those after "#!"; empty for a file that doesn't begin with it.
	words []string
	// windows reports that the line begins with "#!" and ends with CRLF.
	windows       bool
	byteOrderMark bool
}

// readFirstLine is zero for a file that can't be read.
func readFirstLine(path string) firstLine {
	text, err := readFile(path, maxCaptured)
	if err != nil {
		return firstLine{}
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	first := firstLine{byteOrderMark: bytes.HasPrefix(line, byteOrderMark)}
	if command, isScript := bytes.CutPrefix(line, []byte("#!")); isScript {
		first.words = strings.Fields(string(command))
		first.windows = bytes.HasSuffix(line, []byte("\r"))
	}
	return first
}

// interpreter is the interpreter's path in brackets, for people.
func (l firstLine) interpreter() string {
	if len(l.words) == 0 {
		return ""
	}
	return " (" + l.words[0] + ")"
}
