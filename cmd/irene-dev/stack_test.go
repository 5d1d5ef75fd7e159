package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestStackRevisionOnIrenesPage(t *testing.T) {
	g := NewWithT(t)
	page := "# TYPE irene_stack_info gauge\n" +
		`irene_stack_info{digest="sha256:aa",revision="one",stack="other"} 1` + "\n" +
		`irene_stack_info{digest="sha256:aa",revision="two",stack="teststack"} 1` + "\n" +
		"# TYPE irene_leader gauge\nirene_leader 1"
	g.Expect(stackRevision(page, "sha256:aa")).To(Equal("two"))
	g.Expect(stackRevision(page, "sha256:bb")).To(BeEmpty(), "irene doesn't know it yet")
	g.Expect(stackRevision("", "sha256:aa")).To(BeEmpty())
	_, err := stackRevision("<html>", "sha256:aa")
	g.Expect(err).To(MatchError(ContainSubstring("read irene's metrics")))
}

func TestStackFileThatChanged(t *testing.T) {
	g := NewWithT(t)
	c := &cloud{folder: &folder{path: t.TempDir()}}
	file := filepath.Join(t.TempDir(), "rootfs.tar")
	_, err := stackOf(file)
	g.Expect(err).To(MatchError(os.ErrNotExist))
	g.Expect(os.WriteFile(file, []byte("one"), 0o600)).To(Succeed())
	first, err := stackOf(file)
	g.Expect(err).NotTo(HaveOccurred())
	c.state.Stack = first
	g.Expect(c.saveState(c.state)).To(Succeed())
	read, err := c.loadState()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stackOf(file)).To(Equal(read.Stack), "it is the same after a restart")
	g.Expect(os.Chtimes(file, time.Time{}, first.Modified.Add(time.Second))).To(Succeed())
	g.Expect(stackOf(file)).NotTo(Equal(read.Stack))
}
