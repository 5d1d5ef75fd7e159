package archive

import (
	stdtar "archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func openRoot(t testing.TB, folder string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(folder)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func write(t testing.TB, folder, name, content string, mode os.FileMode) {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join(folder, name)
	g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(path, []byte(content), mode)).To(Succeed())
	g.Expect(os.Chmod(path, mode)).To(Succeed())
	g.Expect(os.Chtimes(path, someTime, someTime)).To(Succeed())
}

// headers reads an archive back: "type name -> target" and content.
func read(t testing.TB, archive []byte) (names []string, contents map[string]string) {
	t.Helper()
	g := NewWithT(t)
	z, err := gzip.NewReader(bytes.NewReader(archive))
	g.Expect(err).NotTo(HaveOccurred())
	r := stdtar.NewReader(z)
	contents = map[string]string{}
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, contents
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect([]any{header.Uid, header.Gid, header.Uname, header.Gname}).To(Equal([]any{2000, 2000, "vcap", "vcap"}))
		line := string(header.Typeflag) + " " + header.Name
		if header.Linkname != "" {
			line += " -> " + header.Linkname
		}
		names = append(names, line)
		text, err := io.ReadAll(r)
		g.Expect(err).NotTo(HaveOccurred())
		contents[header.Name] = string(text)
	}
}

func TestDropletsArePacked(t *testing.T) {
	g := NewWithT(t)
	app, deps := t.TempDir(), t.TempDir()
	write(t, app, "b/run", "#!/bin/sh\n", 0o755)
	write(t, app, "a", "first", 0o600)
	long := strings.Repeat("long/", 60) + "ü"
	write(t, app, long, "deep", 0o644)
	g.Expect(os.Symlink("/home/vcap/deps/0/bin/x", filepath.Join(app, "absolute"))).To(Succeed())
	g.Expect(os.Symlink("nowhere", filepath.Join(app, "dangling"))).To(Succeed())
	g.Expect(os.Link(filepath.Join(app, "b/run"), filepath.Join(app, "c"))).To(Succeed())
	g.Expect(syscall.Mkfifo(filepath.Join(app, "pipe"), 0o600)).To(Succeed())
	socket, err := net.Listen("unix", filepath.Join(app, "socket"))
	g.Expect(err).NotTo(HaveOccurred())
	defer socket.Close()
	write(t, deps, "0/x", "", 0o644)

	var archive bytes.Buffer
	packed, err := Pack(context.Background(), &archive, []Part{
		{Name: "."},
		{Name: "./app", Folder: openRoot(t, app)},
		{Name: "./deps", Folder: openRoot(t, deps)},
		{Name: "./logs"},
		{Name: "./staging_info.yml", Content: []byte("{}")},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(packed).To(Equal(Packed{Summary: Summary{Files: 7, Bytes: 19}, Skipped: []string{"./app/pipe", "./app/socket"}}))

	names, contents := read(t, archive.Bytes())
	folders := 0
	for _, name := range names {
		if strings.HasPrefix(name, "5 ./app/long") {
			folders++
		}
	}
	g.Expect(folders).To(Equal(60))
	names = append(names[:8:8], names[8+60:]...)
	g.Expect(names).To(Equal([]string{
		"5 ./", "5 ./app/", "0 ./app/a", "2 ./app/absolute -> /home/vcap/deps/0/bin/x", "5 ./app/b/", "0 ./app/b/run", "1 ./app/c -> ./app/b/run",
		"2 ./app/dangling -> nowhere", "0 ./app/" + long,
		"5 ./deps/", "5 ./deps/0/", "0 ./deps/0/x", "5 ./logs/", "0 ./staging_info.yml",
	}))
	g.Expect(contents["./app/b/run"]).To(Equal("#!/bin/sh\n"))
	g.Expect(contents["./app/"+long]).To(Equal("deep"))
	g.Expect(contents["./staging_info.yml"]).To(Equal("{}"))
}

func TestTheSameFilesMakeTheSameArchive(t *testing.T) {
	g := NewWithT(t)
	var archives []string
	for _, processors := range []int{1, 4} {
		folder := t.TempDir()
		write(t, folder, "large", strings.Repeat("some text, more or less compressible 0123456789", 100_000), 0o644)
		write(t, folder, "small", "x", 0o755)
		g.Expect(os.Chtimes(folder, someTime, someTime)).To(Succeed())
		was := runtime.GOMAXPROCS(processors)
		var archive bytes.Buffer
		_, err := Pack(context.Background(), &archive, []Part{{Name: ".", Folder: openRoot(t, folder)}})
		runtime.GOMAXPROCS(was)
		g.Expect(err).NotTo(HaveOccurred())
		archives = append(archives, archive.String())
	}
	g.Expect(archives[0] == archives[1]).To(BeTrue())
}

func TestWhatIsPackedUnpacks(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	write(t, folder, "a/b", "content", 0o750)
	g.Expect(os.Symlink("/anywhere", filepath.Join(folder, "a/l"))).To(Succeed())
	g.Expect(os.Link(filepath.Join(folder, "a/b"), filepath.Join(folder, "a/c"))).To(Succeed())
	var archive bytes.Buffer
	_, err := Pack(context.Background(), &archive, []Part{{Name: ".", Folder: openRoot(t, folder)}})
	g.Expect(err).NotTo(HaveOccurred())
	back, summary, err := unpack(t, archive.Bytes(), usualRules)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(summary.Files).To(Equal(3))
	g.Expect(content(t, back, "a/c")).To(Equal("content"))
	g.Expect(modeOf(t, back, "a/b")).To(Equal(os.FileMode(0o750)))
}

// failing fails after some bytes, as a full disk does.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, syscall.ENOSPC
	}
	return len(p), nil
}

func TestErrorsOfTheArchivesDiskAreTold(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	noise := make([]byte, 8<<20)
	_, err := rand.NewChaCha8([32]byte{}).Read(noise)
	g.Expect(err).NotTo(HaveOccurred())
	write(t, folder, "large", string(noise), 0o644)
	before := runtime.NumGoroutine()
	for _, room := range []int{0, 10, 1000, 200_000} {
		_, err := Pack(context.Background(), &failing{room}, []Part{{Name: ".", Folder: openRoot(t, folder)}})
		g.Expect(err).To(MatchError(syscall.ENOSPC), "after %d bytes", room)
	}
	g.Eventually(runtime.NumGoroutine, 10*time.Second).Should(BeNumerically("<=", before), "goroutines end with the call")
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	write(t, folder, "sub/secret", "x", 0)
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	_, err := Pack(context.Background(), io.Discard, []Part{{Name: "./app", Folder: openRoot(t, folder)}})
	g.Expect(err).To(MatchError("pack: open ./app/sub/secret: permission denied"))
}

func TestPackingEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Pack(ctx, io.Discard, []Part{{Name: ".", Folder: openRoot(t, t.TempDir())}})
	g.Expect(err).To(MatchError(context.Canceled))
}
