package main

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestUnreadableStagingInfo(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "staging_info.yml")
	g.Expect(os.Mkdir(file, 0o755)).To(Succeed())
	_, err := readStagingInfo(file)
	g.Expect(err).To(MatchError(ContainSubstring("read the droplet's start command: ")))
}
