package droplet

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

var gzipMagic = []byte{0x1f, 0x8b}

// unpack decompresses the droplet, or hands it on when it isn't compressed, up to
// limit bytes. When the droplet is refused, here or by the reader of unpacked, and
// whole is true, it reads packed to its end all the same, so that the droplet's
// checksum becomes known.
func unpack(packed, unpacked *pipe, limit int64, whole bool) {
	err := decompress(packed, unpacked, limit)
	unpacked.closeWrite(err)
	if whole && errors.Is(err, ErrRefused) {
		// The source keeps its own error.
		_, _ = io.Copy(io.Discard, packed)
	}
	packed.closeRead(err)
}

func decompress(packed, unpacked *pipe, limit int64) error {
	to := &limitedWriter{to: unpacked, left: limit, limit: limit}
	from := bufio.NewReaderSize(packed, readBytes)
	magic, err := from.Peek(len(gzipMagic))
	switch {
	case packed.failure() != nil:
		return packed.failure()
	case len(magic) == 0:
		return refuse("", "is empty")
	}
	if err == nil && bytes.Equal(magic, gzipMagic) {
		err = gunzip(from, to)
	} else {
		_, err = io.Copy(to, from)
	}
	switch {
	case to.err != nil:
		return to.err
	case packed.failure() != nil:
		return packed.failure()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse("", "is cut off: its gzip stream has no end")
	case errors.Is(err, gzip.ErrChecksum):
		return refuse("", "is damaged: what its gzip stream unpacks to isn't what was packed")
	case errors.Is(err, gzip.ErrHeader):
		return refuse("", "is damaged: something else than gzip stands where a gzip stream should begin")
	case err != nil:
		return refuse("", "is damaged: its gzip stream can't be read: %v", err)
	}
	return nil
}

// gunzip reads all members of a gzip stream.
func gunzip(from io.Reader, to io.Writer) error {
	reader, err := gzip.NewReader(from)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	_, err = reader.WriteTo(to)
	return err
}

// limitedWriter refuses the droplet once more than limit bytes were written. It
// keeps its error, which readers' errors must not be mixed up with.
type limitedWriter struct {
	to          io.Writer
	left, limit int64
	err         error
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	fits := p[:min(int64(len(p)), w.left)]
	n, err := w.to.Write(fits)
	w.left -= int64(n)
	if err == nil && n < len(p) {
		err = refuse("", "unpacks to more than %d bytes, which is the limit", w.limit)
	}
	w.err = err
	return n, err
}
