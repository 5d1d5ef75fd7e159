package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// makeFolders is os.MkdirAll that also says which folders got a new entry: they
// have to be synced before the new ones outlive a loss of power.
func makeFolders(folder string) (changed []string, err error) {
	switch info, err := os.Stat(folder); {
	case err == nil && info.IsDir():
		return nil, nil
	case err == nil:
		return nil, &fs.PathError{Op: "mkdir", Path: folder, Err: fs.ErrExist}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	parent := filepath.Dir(folder)
	if changed, err = makeFolders(parent); err != nil {
		return nil, err
	}
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return append(changed, parent), nil
}

// syncFolders makes the entries of folders durable. One that is gone has nothing
// left to be kept.
func syncFolders(folders ...string) error {
	for _, name := range folders {
		folder, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
			return err
		}
	}
	return nil
}
