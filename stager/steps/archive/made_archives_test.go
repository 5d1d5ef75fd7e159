package archive

import (
	stdtar "archive/tar"
	stdzip "archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

var usualRules = Rules{Bytes: 1 << 20, Entries: 100}

// someTime is a modification time that no test takes for now.
var someTime = time.Date(2020, 2, 29, 12, 0, 2, 0, time.UTC)

// member is an entry of an archive to be made. A name that ends in a slash is a
// folder; a mode of zero is 0644.
type member struct {
	name    string
	content string
	mode    fs.FileMode
	// windows makes a zip entry as a maker does that knows no permissions.
	windows bool
	// kind and target are for tar alone.
	kind   byte
	target string
}

func zipOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := stdzip.NewWriter(&archive)
	for _, m := range members {
		header := &stdzip.FileHeader{Name: m.name, Method: stdzip.Deflate, Modified: someTime}
		mode := m.mode
		if mode == 0 {
			mode = 0o644
		}
		header.SetMode(mode)
		if m.windows {
			header.CreatorVersion, header.ExternalAttrs = 0, 0
		}
		entry, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(m.name, "/") {
			if _, err := io.WriteString(entry, m.content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func tarOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var plain bytes.Buffer
	w := stdtar.NewWriter(&plain)
	for _, m := range members {
		header := &stdtar.Header{Name: m.name, Typeflag: m.kind, Linkname: m.target, Mode: int64(m.mode.Perm()), ModTime: someTime}
		if m.kind == 0 {
			header.Typeflag, header.Size = stdtar.TypeReg, int64(len(m.content))
			if strings.HasSuffix(m.name, "/") {
				header.Typeflag = stdtar.TypeDir
			}
		}
		if m.mode == 0 {
			header.Mode = 0o644
		}
		if m.kind == stdtar.TypeXGlobalHeader {
			header = &stdtar.Header{Typeflag: m.kind, PAXRecords: map[string]string{"comment": "from a git repository"}}
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return gzipped(t, plain.Bytes())
}

func gzipped(t testing.TB, plain []byte) []byte {
	t.Helper()
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

// unpack unpacks into a folder of its own, which stands in another one where
// anything that escapes shows.
func unpack(t testing.TB, archive []byte, rules Rules) (string, Summary, error) {
	t.Helper()
	outside := t.TempDir()
	folder := filepath.Join(outside, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	summary, err := Unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), folder, rules)
	left, readErr := os.ReadDir(outside)
	if readErr != nil || len(left) != 1 {
		t.Fatalf("something was written outside of the folder: %v (%v)", left, readErr)
	}
	return folder, summary, err
}

// content reads a file below a folder without following links.
func content(t testing.TB, folder, name string) string {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join(folder, name)
	info, err := os.Lstat(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().IsRegular()).To(BeTrue(), "%s is a %s", name, info.Mode())
	text, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	return string(text)
}

func modeOf(t testing.TB, folder, name string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(filepath.Join(folder, name))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return info.Mode()
}

func gunzipped(t testing.TB, archive []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}
