package main

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// maxWrite is how much one write into a pipe keeps together (PIPE_BUF). The app writes into
// the same pipe, and a line must not be torn apart.
const maxWrite = 4096

// lineWriter passes on what a process writes, with a prefix before each line. It keeps no more
// than one write of it.
type lineWriter struct {
	to io.Writer
	// whole begins a line, or the last piece of one; continued begins the pieces before.
	whole, continued []byte
	// line is the line so far, without prefix.
	line []byte
	// out is the memory in which lines are put together.
	out []byte
	// broken is set once a write has failed.
	broken bool
}

func newLineWriter(to io.Writer, whole, continued string) *lineWriter {
	return &lineWriter{
		to: to, whole: []byte(whole), continued: []byte(continued),
		line: make([]byte, 0, max(maxWrite-max(len(whole), len(continued))-len("\n"), utf8.UTFMax)),
		out:  make([]byte, 0, maxWrite),
	}
}

// copyFrom passes everything on until the end of from, and then the rest of a line that has
// no line feed. It reads on when nothing can be written any more, so that the process doesn't
// wait for it.
func (w *lineWriter) copyFrom(from io.Reader) {
	buffer := make([]byte, maxWrite)
	for {
		n, err := from.Read(buffer)
		w.take(buffer[:n])
		if err != nil {
			break
		}
	}
	if len(w.line) > 0 {
		w.write(w.whole, w.line)
	}
}

func (w *lineWriter) take(text []byte) {
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		piece := text
		if end >= 0 {
			piece = text[:end]
		}
		if room := cap(w.line) - len(w.line); len(piece) > room {
			w.line = append(w.line, piece[:room]...)
			text = text[room:]
			w.writePiece()
			continue
		}
		w.line = append(w.line, piece...)
		if end < 0 {
			return
		}
		w.write(w.whole, w.line)
		w.line = w.line[:0]
		text = text[end+1:]
	}
}

// writePiece passes on a full line as a piece that goes on. A character of several bytes is
// not cut.
func (w *lineWriter) writePiece() {
	end := len(w.line)
	for back := 1; back < utf8.UTFMax && back < end; back++ {
		if start := end - back; utf8.RuneStart(w.line[start]) {
			if !utf8.FullRune(w.line[start:]) {
				end = start
			}
			break
		}
	}
	w.write(w.continued, w.line[:end])
	w.line = w.line[:copy(w.line, w.line[end:])]
}

func (w *lineWriter) write(prefix, line []byte) {
	if w.broken {
		return
	}
	w.out = append(append(append(w.out[:0], prefix...), line...), '\n')
	_, err := w.to.Write(w.out)
	w.broken = err != nil
}
