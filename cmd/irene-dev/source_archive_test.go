package main

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
)

// lay writes files into a new folder.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, name)
		NewWithT(t).Expect(os.MkdirAll(filepath.Dir(file), 0o755)).To(Succeed())
		NewWithT(t).Expect(os.WriteFile(file, []byte(content), 0o644)).To(Succeed())
	}
	return dir
}

func TestSourceIsArchivedWithoutWhatIsIgnored(t *testing.T) {
	g := NewWithT(t)
	dir := lay(t, map[string]string{
		"index.html": "hello", "bin/run": "#!/bin/sh", ".profile": "x", "deep/notes.log": "x", "kept.log": "x", "sub/.git/config": "x", ".git/HEAD": "x", ".gitignore": "x",
		"node_modules/a/b": "x", ".cfignore": "# what is large\n*.log\n!kept.log\r\n\nnode_modules/\n",
	})
	g.Expect(os.Mkdir(filepath.Join(dir, "empty"), 0o500)).To(Succeed())
	g.Expect(os.Chmod(filepath.Join(dir, "bin/run"), 0o555)).To(Succeed())
	g.Expect(os.Symlink("../index.html", filepath.Join(dir, "deep", "link"))).To(Succeed())

	var packed bytes.Buffer
	count, err := archiveSource(os.DirFS(dir), &packed)
	g.Expect(err).NotTo(HaveOccurred())
	reader, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	g.Expect(err).NotTo(HaveOccurred())
	modes := map[string]fs.FileMode{}
	for _, file := range reader.File {
		modes[file.Name] = file.Mode()
	}
	g.Expect(modes).To(Equal(map[string]fs.FileMode{
		"index.html": 0o644, "bin/": fs.ModeDir | 0o755, "bin/run": 0o755, ".profile": 0o644, "deep/": fs.ModeDir | 0o755,
		"deep/link": fs.ModeSymlink | 0o777, "kept.log": 0o644, "sub/": fs.ModeDir | 0o755, "empty/": fs.ModeDir | 0o700,
	}))
	g.Expect(count).To(Equal(archived{files: 5, bytes: int64(len("hello" + "#!/bin/sh" + "x" + "../index.html" + "x"))}))
	content := func(name string) string {
		file, err := reader.Open(name)
		g.Expect(err).NotTo(HaveOccurred())
		defer file.Close()
		text, err := io.ReadAll(file)
		g.Expect(err).NotTo(HaveOccurred())
		return string(text)
	}
	g.Expect(content("index.html")).To(Equal("hello"))
	g.Expect(content("deep/link")).To(Equal("../index.html"))

	var again bytes.Buffer
	_, err = archiveSource(os.DirFS(dir), &again)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again.Bytes()).To(Equal(packed.Bytes()), "the same folder is the same archive")
}

func TestSourceThatCannotBeArchived(t *testing.T) {
	for reason, spoil := range map[string]func(dir string) error{
		"a/out: is a link to ../../x, which is outside":   func(dir string) error { return os.Symlink("../../x", filepath.Join(dir, "a", "out")) },
		"absolute: is a link to /etc/passwd":              func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "absolute")) },
		"pipe: is neither a file nor a folder nor a link": func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600) },
		"there is no file in it":                          func(dir string) error { return os.RemoveAll(filepath.Join(dir, "a")) },
	} {
		g := NewWithT(t)
		dir := lay(t, map[string]string{"a/b": "x"})
		g.Expect(spoil(dir)).To(Succeed())
		_, err := archiveSource(os.DirFS(dir), io.Discard)
		g.Expect(err).To(MatchError(ContainSubstring(reason)))
	}
}
