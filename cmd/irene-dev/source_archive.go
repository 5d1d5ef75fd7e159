package main

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// ignoreFile names what isn't uploaded, in the form of a .gitignore.
const ignoreFile = ".cfignore"

// alwaysIgnored is never uploaded, as by the cf command.
var alwaysIgnored = []string{
	ignoreFile, ".gitignore", ".git", ".hg", ".svn", "_darcs", ".DS_Store",
}

// archived is what an archive holds.
type archived struct {
	files int
	bytes int64
}

// archiveSource writes a folder as an app package: a zip of its files, folders and links
// with their permissions, without what is ignored.
func archiveSource(folder fs.FS, out io.Writer) (archived, error) {
	ignored, err := ignoreRules(folder)
	if err != nil {
		return archived{}, err
	}
	var count archived
	archive := zip.NewWriter(out)
	err = fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if ignored.Match(strings.Split(name, "/"), entry.IsDir()) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		bytes, err := archiveEntry(archive, folder, name, entry)
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			count.files++
			count.bytes += bytes
		}
		return nil
	})
	if err != nil {
		return archived{}, err
	}
	if count.files == 0 {
		return archived{}, errors.New("there is no file in it")
	}
	return count, archive.Close()
}

func archiveEntry(archive *zip.Writer, folder fs.FS, name string, entry fs.DirEntry) (int64, error) {
	info, err := entry.Info()
	if err != nil {
		return 0, err
	}
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: info.ModTime()}
	// Whoever stages it must be able to read it, and to write beside it.
	mode := info.Mode() | 0o600
	if entry.IsDir() {
		mode |= 0o700
	}
	header.SetMode(mode)
	var content io.Reader
	switch kind := info.Mode().Type(); kind {
	case 0:
		file, err := folder.Open(name)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		content = file
	case fs.ModeDir:
		header.Name, header.Method = name+"/", zip.Store
		content = strings.NewReader("")
	case fs.ModeSymlink:
		target, err := fs.ReadLink(folder, name)
		if err != nil {
			return 0, err
		}
		// What leads out of the folder is not there where the app is built.
		if path.IsAbs(target) || !fs.ValidPath(path.Join(path.Dir(name), target)) {
			return 0, fmt.Errorf("%s: is a link to %s, which is outside the folder; leave it out with %s", name, target, ignoreFile)
		}
		content = strings.NewReader(target)
	default:
		return 0, fmt.Errorf("%s: is neither a file nor a folder nor a link; leave it out with %s", name, ignoreFile)
	}
	writer, err := archive.CreateHeader(header)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	bytes, err := io.Copy(writer, content)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return bytes, nil
}

// ignoreRules reads the folder's ignore file, if it has one.
func ignoreRules(folder fs.FS) (gitignore.Matcher, error) {
	var patterns []gitignore.Pattern
	file, err := folder.Open(ignoreFile)
	switch {
	case err == nil:
		defer file.Close()
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if line := strings.TrimSuffix(lines.Text(), "\r"); line != "" && !strings.HasPrefix(line, "#") {
				patterns = append(patterns, gitignore.ParsePattern(line, nil))
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", ignoreFile, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	// The last pattern that fits counts.
	for _, name := range alwaysIgnored {
		patterns = append(patterns, gitignore.ParsePattern(name, nil))
	}
	return gitignore.NewMatcher(patterns), nil
}
