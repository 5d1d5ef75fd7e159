package droplet

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"

	"github.com/irene-cf/irene/bits/droplet/staginginfo"
)

// stagingFileName is at a droplet's root.
const stagingFileName = "staging_info.yml"

// stagingInfo looks over a rewriter's shoulder and keeps staging's file.
type stagingInfo struct {
	content bytes.Buffer
	// wanted tells whether what is being written is that file.
	wanted bool
	there  bool
	err    error
}

// see is called for each entry before its content is written. Of two staging files the later
// one counts.
func (s *stagingInfo) see(name string, entry *tar.Header) {
	s.wanted = false
	if name != stagingFileName {
		return
	}
	s.content.Reset()
	s.there, s.err = true, nil
	switch {
	case entry.Typeflag != tar.TypeReg:
		s.err = errors.New("it is no regular file")
	case entry.Size > staginginfo.MaxBytes:
		s.err = fmt.Errorf("it has %d bytes, more than %d", entry.Size, staginginfo.MaxBytes)
	default:
		s.wanted = true
	}
}

// Write implements io.Writer for the content of every file. It never fails.
func (s *stagingInfo) Write(p []byte) (int, error) {
	if s.wanted {
		s.content.Write(p)
	}
	return len(p), nil
}

func (s *stagingInfo) parse() (info staginginfo.Info, err error) {
	if s.there && s.err == nil {
		info, s.err = staginginfo.Parse(s.content.Bytes())
	}
	if s.err != nil {
		return staginginfo.Info{}, fmt.Errorf("read the droplet's %s: %w", stagingFileName, s.err)
	}
	return info, nil
}
