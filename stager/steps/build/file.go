package build

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"errors"
	"io/fs"
)

// maxTextFile bounds the small text files that buildpacks and apps write.
const maxTextFile = 1 << 20

// readFile reads a regular file of user code. It doesn't wait for a FIFO's writer.
// A file that isn't there is fs.ErrNotExist.
func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		var inner *fs.PathError
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, err
}

func removeAll(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("remove a folder: %w", err)
	}
	return nil
}
