package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestFolderIsLockedWhileOneIsAtWork(t *testing.T) {
	g := NewWithT(t)
	dir := filepath.Join(t.TempDir(), "deep", "dir")
	first, err := openFolder(dir, true)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = openFolder(dir, true)
	g.Expect(err).To(MatchError(errBusy))
	_, err = openFolder(dir, false)
	g.Expect(err).To(MatchError(errBusy))
	g.Expect(first.saveState(state{})).To(Succeed())
	first.close()
	again, err := openFolder(dir, false)
	g.Expect(err).NotTo(HaveOccurred())
	again.close()
}

func TestFolderOfSomeoneElseIsRefusedAndLeftAlone(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	mine := filepath.Join(dir, "log")
	g.Expect(os.Mkdir(mine, 0o755)).To(Succeed())
	_, err := openFolder(dir, true)
	g.Expect(err).To(MatchError(ContainSubstring("holds log, which isn't irene-dev's")))
	g.Expect(down(context.Background(), options{dir: dir, bin: dir}, &bytes.Buffer{})).To(Succeed())
	g.Expect(mine).To(BeADirectory())
}

func TestEmptyLeavesTheCacheAlone(t *testing.T) {
	g := NewWithT(t)
	dir := filepath.Join(t.TempDir(), ".irene")
	f, err := openFolder(dir, true)
	g.Expect(err).NotTo(HaveOccurred())
	defer f.close()
	for _, file := range []string{"cache/bookworm.tar", "log/irene.log", "bin/kubectl", "scratch/x/y", "irene.yaml", "nats-password", "desire.json", "ready.json"} {
		g.Expect(os.MkdirAll(filepath.Dir(f.at(file)), 0o755)).To(Succeed())
		g.Expect(os.WriteFile(f.at(file), nil, 0o600)).To(Succeed())
	}
	g.Expect(f.saveState(state{API: "x"})).To(Succeed())
	g.Expect(f.empty()).To(Succeed())
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(Equal([]string{filepath.Join(dir, "cache")}))

	g.Expect(os.RemoveAll(f.at("cache", "bookworm.tar"))).To(Succeed())
	g.Expect(f.empty()).To(Succeed())
	g.Expect(dir).NotTo(BeAnExistingFile())
}

func TestDownOnNothingIsFine(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	dir := filepath.Join(t.TempDir(), "none")
	g.Expect(command(context.Background(), []string{"down", "--dir", dir}, &out, &out)).To(Equal(0))
	g.Expect(out.String()).To(ContainSubstring("Nothing to stop"))
	g.Expect(dir).NotTo(BeAnExistingFile())
}

func TestStateSurvives(t *testing.T) {
	g := NewWithT(t)
	f, err := openFolder(t.TempDir(), true)
	g.Expect(err).NotTo(HaveOccurred())
	defer f.close()
	g.Expect(f.loadState()).To(Equal(state{}))
	want := state{Cluster: process{PID: 7, Start: 8}, API: "127.0.0.1:1"}
	g.Expect(f.saveState(want)).To(Succeed())
	g.Expect(f.loadState()).To(Equal(want))
	g.Expect(os.WriteFile(f.at(stateName), []byte("{"), 0o600)).To(Succeed())
	_, err = f.loadState()
	g.Expect(err).To(MatchError(ContainSubstring(f.at(stateName))))
}
