package credential

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func fileOf(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "value")
	NewWithT(t).Expect(os.WriteFile(file, []byte(content), 0o600)).To(Succeed())
	return file
}

func TestOneFileServesClientAndServer(t *testing.T) {
	for content, want := range map[string][]string{
		"one":                 {"one"},
		"one\n":               {"one"},
		"one\r\n":             {"one"},
		"one\ntwo":            {"one", "two"},
		"one\r\ntwo\r\n":      {"one", "two"},
		"\n\none\n\ntwo\n\n":  {"one", "two"},
		" one with \t space ": {" one with \t space "},
	} {
		g := NewWithT(t)
		file := fileOf(t, content)
		g.Expect(ReadAll(file)).To(Equal(want), "%q", content)
		g.Expect(Read(file)).To(Equal(want[0]), "%q", content)
	}
}

func TestErrorsNameFilesAndNoValues(t *testing.T) {
	g := NewWithT(t)
	empty, full := fileOf(t, "\r\n\n"), fileOf(t, "hunter2")
	_, err := Read(empty)
	g.Expect(err).To(MatchError(empty + " holds no value"))
	_, _, err = ReadPair(full, "/nowhere")
	g.Expect(err).To(MatchError("password: open /nowhere: no such file or directory"))
	_, _, err = ReadPair(empty, "/nowhere")
	g.Expect(err).To(MatchError(And(ContainSubstring(empty), ContainSubstring("/nowhere"))))
	username, password, err := ReadPair(full, full)
	g.Expect([]any{username, password, err}).To(Equal([]any{"hunter2", "hunter2", nil}))
}
