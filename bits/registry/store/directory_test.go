package store

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestOpenThrowsHalfWrittenFilesAway(t *testing.T) {
	g := NewWithT(t)
	directory := t.TempDir()
	first := open(t, directory)
	first.put(t, "docker/file", "content")
	for _, folder := range []string{temporaryFolder, discardedFolder} {
		g.Expect(os.MkdirAll(first.own(folder, "old"), 0o700)).To(Succeed())
		g.Expect(os.WriteFile(first.own(folder, "old", "file"), []byte("x"), 0o600)).To(Succeed())
	}
	g.Expect(first.Close()).To(Succeed())

	second := open(t, directory)
	for _, folder := range []string{temporaryFolder, discardedFolder} {
		g.Expect(os.ReadDir(second.own(folder))).To(BeEmpty())
	}
	g.Expect(second.GetContent(t.Context(), "/docker/file")).To(Equal([]byte("content")))
	info, err := os.Stat(filepath.Join(directory, "docker"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(BeEquivalentTo(0o700), "droplets are nobody else's business")
}

func TestTheLockNamesItsHolder(t *testing.T) {
	g := NewWithT(t)
	s := open(t, t.TempDir())
	_, err := Open(Options{Directory: s.directory})
	g.Expect(err).To(MatchError(MatchRegexp(`^open the registry's directory .*: another registry uses it, process \d+$`)))
	g.Expect(s.Close()).To(Succeed())
	third := open(t, s.directory)
	g.Expect(third.Check()).To(Succeed())
}

func TestPathsStayWithinTheirFolders(t *testing.T) {
	g := NewWithT(t)
	s := open(t, t.TempDir())
	s.put(t, repositoriesFolder+"/app/"+uploadsFolder+"/id/data", "content")
	for _, id := range []string{"..", ".", "../..", "id/..", ""} {
		g.Expect(s.DropUpload("app", id)).To(MatchError(ContainSubstring("invalid path")), id)
	}
	g.Expect(s.PutContent(t.Context(), "/docker/../x", nil)).To(MatchError(ContainSubstring("invalid path")))
	g.Expect(exists(t, s, repositoriesFolder+"/app/"+uploadsFolder+"/id/data")).To(BeTrue())
	g.Expect(s.DropUpload("app", "id")).To(Succeed())
	g.Expect(s.DropUpload("app", "id")).To(Succeed(), "it is gone")
	g.Expect(exists(t, s, repositoriesFolder+"/app/"+uploadsFolder+"/id")).To(BeFalse())
}
