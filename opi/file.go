package opi

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// File is a small file with content of the platform's making, which may be secret.
type File struct {
	// Path is relative to the directory of platform files.
	Path string `json:"path"`
	// Content is never stored with the rest.
	Content []byte `json:"content,omitempty"`
}

// MaxFilesBytes bounds the paths and contents of all files of an LRP together (Cloud
// Controller allows 1,000,000 bytes): they are kept in one Secret.
const MaxFilesBytes = 1_000_000

func validateFiles(files []File) error {
	var errs []error
	total := 0
	seen := map[string]bool{}
	for i, file := range files {
		field := fmt.Sprintf("files[%d].path", i)
		total += len(file.Path) + len(file.Content)
		switch {
		case file.Path == "" || path.IsAbs(file.Path) || path.Clean(file.Path) != file.Path || strings.HasPrefix(file.Path, ".."):
			// Kubernetes keeps names that begin with ".." for itself.
			errs = append(errs, Invalid(field, "%q is not a relative path without '.', '..' and empty parts that does not begin with '..'", abbreviate(file.Path)))
		case strings.ContainsRune(file.Path, 0) || len(file.Path) > 1024:
			errs = append(errs, Invalid(field, "must have at most 1024 bytes and no NUL byte"))
		case seen[file.Path]:
			errs = append(errs, Invalid(field, "%q is given twice", abbreviate(file.Path)))
		}
		seen[file.Path] = true
	}
	if total > MaxFilesBytes {
		errs = append(errs, Invalid("files", "paths and contents together have %d bytes, more than %d", total, MaxFilesBytes))
	}
	return errors.Join(errs...)
}
