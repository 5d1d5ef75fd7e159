package archive

import (
	stdtar "archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// maxTrailer bounds what may follow the last entry of a tar archive.
const maxTrailer = 1 << 20

func unpackTar(ctx context.Context, file io.Reader, to *destination) error {
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return brokenTar(err)
	}
	defer unpacked.Close()
	entries := stdtar.NewReader(unpacked)
	buffer := make([]byte, 128<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return brokenTar(err)
		}
		if err := unpackTarEntry(header, entries, to, buffer); err != nil {
			return brokenTar(err)
		}
	}
	// Only at its end does gzip say whether all was well.
	rest, err := io.Copy(io.Discard, io.LimitReader(unpacked, maxTrailer+1))
	if err == nil && rest > maxTrailer {
		return refuse("", "something follows the tar archive's end")
	}
	return brokenTar(err)
}

func unpackTarEntry(header *stdtar.Header, content io.Reader, to *destination, buffer []byte) error {
	if header.Typeflag == stdtar.TypeXGlobalHeader {
		return nil
	}
	name, err := localName(header.Name)
	if err != nil {
		return err
	}
	mode := header.FileInfo().Mode()
	if name == "." && header.Typeflag != stdtar.TypeDir {
		return refuse(header.Name, "is the archive's own folder and something else at once")
	}
	switch header.Typeflag {
	case stdtar.TypeDir:
		return to.folder(name, mode)
	case stdtar.TypeReg, stdtar.TypeGNUSparse:
		if header.Size > to.rules.Bytes {
			return refuse("", "it unpacks to more than %d bytes", to.rules.Bytes)
		}
		return to.file(name, mode, header.ModTime, content, buffer)
	case stdtar.TypeSymlink:
		return to.symbolicLink(name, header.Linkname)
	case stdtar.TypeLink:
		target, err := localName(header.Linkname)
		if err != nil {
			return refuse(name, "is a hard link out of the archive")
		}
		return to.hardLink(name, target)
	default:
		return refuse(name, "is a %s", kindOfMode(mode))
	}
}

// brokenTar tells what is wrong with the archive from other errors.
func brokenTar(err error) error {
	var corrupt flate.CorruptInputError
	var inner flate.InternalError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stdtar.ErrHeader), errors.Is(err, stdtar.ErrFieldTooLong), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &corrupt), errors.As(err, &inner):
		return refuse("", "it is a broken tar archive: %v", rootCause(err))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	default:
		var refused *RefusedError
		if errors.As(err, &refused) {
			return refused
		}
		return fmt.Errorf("read the tar archive: %w", err)
	}
}
