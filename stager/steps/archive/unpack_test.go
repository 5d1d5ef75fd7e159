package archive

import (
	stdtar "archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
)

func TestZipIsUnpacked(t *testing.T) {
	g := NewWithT(t)
	folder, summary, err := unpack(t, zipOf(t,
		member{name: "bin/"},
		member{name: "bin/detect", content: "#!/bin/sh\n", mode: 0o755},
		member{name: "deep/er/file", content: "x", mode: 0o600},
		member{name: "sealed", content: "y", mode: 0o001},
		member{name: "closed/", mode: fs.ModeDir | 0o500},
		member{name: "closed/in", content: "z"},
		member{name: "setuid", mode: fs.ModeSetuid | 0o755},
		member{name: "./dotted//name", content: "d"},
		member{name: "back/../forth", content: "f"},
		member{name: "link", content: "deep/er", mode: fs.ModeSymlink | 0o777},
		member{name: "deep/up", content: "../bin/detect", mode: fs.ModeSymlink | 0o777},
		member{name: "empty"},
	), usualRules)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(summary).To(Equal(Summary{Files: 10, Bytes: 10 + 5}))
	g.Expect(content(t, folder, "bin/detect")).To(Equal("#!/bin/sh\n"))
	g.Expect(modeOf(t, folder, "bin/detect")).To(Equal(fs.FileMode(0o755)))
	g.Expect(modeOf(t, folder, "deep/er/file")).To(Equal(fs.FileMode(0o600)))
	g.Expect(modeOf(t, folder, "sealed")).To(Equal(fs.FileMode(0o601)), "its owner may always read and write")
	g.Expect(modeOf(t, folder, "closed")).To(Equal(fs.ModeDir | 0o700))
	g.Expect(modeOf(t, folder, "setuid")).To(Equal(fs.FileMode(0o755)), "nothing but permissions is kept")
	g.Expect(content(t, folder, "closed/in")).To(Equal("z"))
	g.Expect(content(t, folder, "dotted/name")).To(Equal("d"))
	g.Expect(content(t, folder, "forth")).To(Equal("f"))
	g.Expect(os.Readlink(filepath.Join(folder, "link"))).To(Equal("deep/er"))
	g.Expect(os.Readlink(filepath.Join(folder, "deep/up"))).To(Equal("../bin/detect"))
	info, err := os.Stat(filepath.Join(folder, "bin/detect"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.ModTime().UTC()).To(Equal(someTime))
}

func TestZipFromWindowsGetsUsualModes(t *testing.T) {
	g := NewWithT(t)
	folder, _, err := unpack(t, zipOf(t, member{name: "d/", windows: true}, member{name: "d/f", content: "x", windows: true}), usualRules)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(modeOf(t, folder, "d")).To(Equal(fs.ModeDir | 0o755))
	g.Expect(modeOf(t, folder, "d/f")).To(Equal(fs.FileMode(0o644)))
}

func TestOfTwoZipEntriesOfOneNameTheLastCounts(t *testing.T) {
	g := NewWithT(t)
	folder, summary, err := unpack(t, zipOf(t, member{name: "a", content: "first"}, member{name: "./a", content: "last"}), usualRules)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(content(t, folder, "a")).To(Equal("last"))
	g.Expect(summary.Files).To(Equal(1))
}

func TestTarIsUnpacked(t *testing.T) {
	g := NewWithT(t)
	folder, summary, err := unpack(t, tarOf(t,
		member{name: "pax_global_header", kind: stdtar.TypeXGlobalHeader},
		member{name: "./", mode: 0o755},
		member{name: "./app/", mode: 0o750},
		member{name: "./app/run", content: "go", mode: 0o755},
		member{name: "app/again", kind: stdtar.TypeLink, target: "./app/run"},
		member{name: "app/run", content: "gone"},
		member{name: "app/here", kind: stdtar.TypeSymlink, target: "run"},
		member{name: "app/here", kind: stdtar.TypeSymlink, target: "again"},
	), usualRules)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(summary).To(Equal(Summary{Files: 4, Bytes: 6}))
	g.Expect(content(t, folder, "app/run")).To(Equal("gone"), "a later entry replaces an earlier one")
	g.Expect(content(t, folder, "app/again")).To(Equal("go"), "and not what else has the earlier one's content")
	g.Expect(os.Readlink(filepath.Join(folder, "app/here"))).To(Equal("again"))
	g.Expect(modeOf(t, folder, "app")).To(Equal(fs.ModeDir | 0o750))
}

// What a link leads to means something only in the container, so every target is kept.
func TestLinksKeepTheirTargets(t *testing.T) {
	const zipLink = fs.ModeSymlink | 0o777
	targets := map[string]string{
		"data":       "/var/vcap/data/0a1b",
		"abs":        "/home/vcap/app/real/x",
		"up":         "../../../etc",
		"a/b/up":     "../../../x",
		"down-up":    "real/../../x",
		"root":       "/",
		"dangling":   "nowhere",
		"loop":       "loop",
		"real/above": "..",
		"odd":        `C:\data`,
	}
	var zipMembers, tarMembers []member
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		zipMembers = append(zipMembers, member{name: name, content: targets[name], mode: zipLink})
		tarMembers = append(tarMembers, member{name: name, kind: stdtar.TypeSymlink, target: targets[name]})
	}
	// A file behind the links: all links are made after it.
	file := member{name: "real/x", content: "x"}
	for kind, archive := range map[string][]byte{
		"zip": zipOf(t, append(zipMembers, file)...),
		"tar": tarOf(t, append(tarMembers, file)...),
	} {
		t.Run(kind, func(t *testing.T) {
			g := NewWithT(t)
			folder, summary, err := unpack(t, archive, usualRules)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(summary.Files).To(Equal(len(targets) + 1))
			g.Expect(content(t, folder, "real/x")).To(Equal("x"))
			for name, target := range targets {
				g.Expect(os.Readlink(filepath.Join(folder, name))).To(Equal(target))
			}
		})
	}
}

// hostileLinks are archives that would write or read outside of the folder if anybody
// followed a link. outside is an absolute path to a folder with the file "victim".
func hostileLinks(t testing.TB, outside string) map[string][]byte {
	link := fs.ModeSymlink | 0o777
	victim := filepath.Join(outside, "victim")
	return map[string][]byte{
		"zip: file below a link":         zipOf(t, member{name: "l", content: outside, mode: link}, member{name: "l/victim", content: "evil"}),
		"zip: file below a link's name":  zipOf(t, member{name: "l/victim", content: "evil"}, member{name: "l", content: outside, mode: link}),
		"zip: folder below a link":       zipOf(t, member{name: "l", content: outside, mode: link}, member{name: "l/new/"}),
		"zip: folder over a link":        zipOf(t, member{name: "l", content: outside, mode: link}, member{name: "l/", mode: fs.ModeDir | 0o700}),
		"zip: link below a link":         zipOf(t, member{name: "l", content: outside, mode: link}, member{name: "l/new", content: "x", mode: link}),
		"zip: file over a link":          zipOf(t, member{name: "l", content: victim, mode: link}, member{name: "./l", content: "evil"}),
		"tar: file below a link":         tarOf(t, member{name: "l", kind: stdtar.TypeSymlink, target: outside}, member{name: "l/victim", content: "evil"}),
		"tar: file over a link":          tarOf(t, member{name: "l", kind: stdtar.TypeSymlink, target: victim}, member{name: "l", content: "evil"}),
		"tar: folder over a link":        tarOf(t, member{name: "l", kind: stdtar.TypeSymlink, target: outside}, member{name: "l/", mode: 0o777}),
		"tar: hard link through a link":  tarOf(t, member{name: "l", kind: stdtar.TypeSymlink, target: outside}, member{name: "h", kind: stdtar.TypeLink, target: "l/victim"}),
		"tar: hard link below a link":    tarOf(t, member{name: "x", content: "evil"}, member{name: "l", kind: stdtar.TypeSymlink, target: outside}, member{name: "l/victim", kind: stdtar.TypeLink, target: "x"}),
		"tar: link to the parent folder": tarOf(t, member{name: "l", kind: stdtar.TypeSymlink, target: ".."}, member{name: "l/escaped", content: "evil"}),
		"tar: chain of links":            tarOf(t, member{name: "a", kind: stdtar.TypeSymlink, target: "b"}, member{name: "b", kind: stdtar.TypeSymlink, target: outside}, member{name: "a/victim", content: "evil"}),
	}
}

func TestNothingIsWrittenThroughLinks(t *testing.T) {
	outside := t.TempDir()
	write(t, outside, "victim", "unharmed", 0o640)
	for name, archive := range hostileLinks(t, outside) {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			folder, _, err := unpack(t, archive, usualRules)
			if err != nil {
				var refused *RefusedError
				g.Expect(errors.As(err, &refused)).To(BeTrue(), "%v", err)
			}
			g.Expect(os.ReadDir(outside)).To(HaveLen(1))
			g.Expect(content(t, outside, "victim")).To(Equal("unharmed"))
			g.Expect(modeOf(t, outside, "victim")).To(Equal(fs.FileMode(0o640)))
			info, err := os.Stat(filepath.Join(outside, "victim"))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(info.ModTime().Equal(someTime)).To(BeTrue())

			var packed bytes.Buffer
			_, err = Pack(context.Background(), &packed, []Part{{Name: ".", Folder: openRoot(t, folder)}})
			g.Expect(err).NotTo(HaveOccurred())
			_, contents := read(t, packed.Bytes())
			g.Expect(contents).NotTo(ContainElement("unharmed"), "nor is anything read through one")
		})
	}
}

func TestBackslashesOfWindowsSeparateFolders(t *testing.T) {
	g := NewWithT(t)
	folder, summary, err := unpack(t, zipOf(t,
		member{name: "index.html", content: "hi", windows: true},
		member{name: `css\site.css`, content: "a{}", windows: true},
		member{name: `js\lib\`, windows: true},
		member{name: `js\lib\x.js`, content: "1", windows: true},
		member{name: `lib/dev\x2dsda.device`, content: "slash", windows: true},
		member{name: `unix\name`, content: "u"},
	), usualRules)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(summary.Files).To(Equal(5))
	g.Expect(content(t, folder, "css/site.css")).To(Equal("a{}"))
	g.Expect(content(t, folder, "js/lib/x.js")).To(Equal("1"))
	g.Expect(modeOf(t, folder, "js/lib")).To(Equal(fs.ModeDir | 0o755))
	g.Expect(content(t, folder, `lib/dev\x2dsda.device`)).To(Equal("slash"), "where a slash separates, a backslash is part of the name")
	g.Expect(content(t, folder, `unix\name`)).To(Equal("u"), "elsewhere it is part of the name")

	for name, want := range map[string]string{`..\evil`: "leads out of the archive", `\evil`: "has an absolute path", `a\..\..\evil`: "leads out of the archive"} {
		_, _, err := unpack(t, zipOf(t, member{name: name, windows: true}), usualRules)
		g.Expect(err).To(MatchError(ContainSubstring(want)), name)
	}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	link := fs.ModeSymlink | 0o777
	long := strings.Repeat("n", 300)
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"zip: parent":           {zipOf(t, member{name: "../evil"}), `"../evil" leads out of the archive`},
		"zip: hidden parent":    {zipOf(t, member{name: "a/../../evil"}), "leads out of the archive"},
		"zip: just parent":      {zipOf(t, member{name: ".."}), "leads out of the archive"},
		"zip: absolute":         {zipOf(t, member{name: "/etc/evil"}), "has an absolute path"},
		"zip: NUL":              {zipOf(t, member{name: "a\x00b"}), "NUL"},
		"zip: long name":        {zipOf(t, member{name: long}), "has too long a name"},
		"zip: long path":        {zipOf(t, member{name: strings.Repeat("n/", 2100)}), "has too long a name"},
		"zip: link with NUL":    {zipOf(t, member{name: "l", content: "a\x00b", mode: link}), "can't be a path"},
		"zip: empty link":       {zipOf(t, member{name: "l", mode: link}), "can't be a path"},
		"zip: endless link":     {zipOf(t, member{name: "l", content: strings.Repeat("x", 1<<19), mode: link}), "can't be a path"},
		"zip: through a link":   {zipOf(t, member{name: "l", content: "d", mode: link}, member{name: "l/x"}), "something else at once"},
		"zip: over a link":      {zipOf(t, member{name: "d/x"}, member{name: "d", content: "x", mode: link}), "something else at once"},
		"zip: file and folder":  {zipOf(t, member{name: "a", content: "x"}, member{name: "a/b"}), "file and a folder at once"},
		"zip: device":           {zipOf(t, member{name: "dev", mode: fs.ModeDevice | 0o600}), `"dev" is a device node`},
		"zip: character device": {zipOf(t, member{name: "dev", mode: fs.ModeDevice | fs.ModeCharDevice | 0o600}), "is a device node"},
		"zip: FIFO":             {zipOf(t, member{name: "pipe", mode: fs.ModeNamedPipe | 0o600}), "is a FIFO"},
		"zip: socket":           {zipOf(t, member{name: "sock", mode: fs.ModeSocket | 0o600}), "is a socket"},
		"zip: bomb":             {zipOf(t, member{name: "a", content: strings.Repeat("\x00", 1<<20+1)}), "it unpacks to more than 1048576 bytes"},
		"zip: bomb in pieces":   {zipOf(t, member{name: "a", content: strings.Repeat("\x00", 1<<19)}, member{name: "b", content: strings.Repeat("\x00", 1<<19)}, member{name: "c", content: "x"}), "it unpacks to more than"},
		"zip: lying bomb":       {lyingZip(t), ""},
		"zip: too many":         {zipOf(t, many(101)...), "it has more than 100 entries"},
		"zip: cut off":          {zipOf(t, many(50)...)[:3000], "broken zip"},
		"zip: encrypted":        {withFlag(zipOf(t, member{name: "a", content: "x"}), 1), "is encrypted"},
		"zip: unknown method":   {withMethod(zipOf(t, member{name: "a", content: "x"}), 99), "can't be read"},
		"zip: bad content":      {corrupted(zipOf(t, member{name: "a", content: strings.Repeat("abc", 999)})), "can't be read"},

		"tar: parent":          {tarOf(t, member{name: "../evil"}), "leads out of the archive"},
		"tar: absolute":        {tarOf(t, member{name: "/etc/evil"}), "has an absolute path"},
		"tar: through a link":  {tarOf(t, member{name: "l", kind: stdtar.TypeSymlink, target: "d"}, member{name: "l/x"}), "something else at once"},
		"tar: hard link out":   {tarOf(t, member{name: "l", kind: stdtar.TypeLink, target: "/etc/shadow"}), "is a hard link out of the archive"},
		"tar: hard link up":    {tarOf(t, member{name: "l", kind: stdtar.TypeLink, target: "../../etc/shadow"}), "is a hard link out of the archive"},
		"tar: hard link ahead": {tarOf(t, member{name: "l", kind: stdtar.TypeLink, target: "later"}, member{name: "later"}), "not a file of this archive"},
		"tar: hard link to symlink": {tarOf(t, member{name: "s", kind: stdtar.TypeSymlink, target: "x"}, member{name: "l", kind: stdtar.TypeLink, target: "s"}),
			"not a file of this archive"},
		"tar: hard link to folder": {tarOf(t, member{name: "d/", mode: 0o755}, member{name: "l", kind: stdtar.TypeLink, target: "d"}), "not a file of this archive"},
		"tar: device":              {tarOf(t, member{name: "dev", kind: stdtar.TypeChar}), `"dev" is a device node`},
		"tar: block device":        {tarOf(t, member{name: "dev", kind: stdtar.TypeBlock}), "is a device node"},
		"tar: FIFO":                {tarOf(t, member{name: "pipe", kind: stdtar.TypeFifo}), "is a FIFO"},
		"tar: own folder":          {tarOf(t, member{name: "./", kind: stdtar.TypeSymlink, target: "x"}), "own folder and something else"},
		"tar: bomb":                {tarOf(t, member{name: "a", content: strings.Repeat("\x00", 1<<20+1)}), "it unpacks to more than"},
		"tar: too many":            {tarOf(t, many(101)...), "it has more than 100 entries"},
		"tar: implied folders":     {tarOf(t, member{name: strings.Repeat("d/", 150) + "f"}), "more than 100 folders"},
		"tar: endless trailer":     {gzipped(t, make([]byte, 4<<20)), "something follows"},
		"tar: cut off":             {tarOf(t, many(50)...)[:200], "broken tar"},
		"tar: not a tar":           {gzipped(t, []byte(strings.Repeat("no tar ", 500))), "broken tar"},
		"tar: sparse bomb":         {sparseTar(t), "it unpacks to more than"},

		"nothing":        {nil, "neither a zip archive nor a gzipped tar archive"},
		"something else": {[]byte("<html>login</html>"), "neither a zip archive nor a gzipped tar archive"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, summary, err := unpack(t, c.archive, usualRules)
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).To(ContainSubstring(c.want))
			var refused *RefusedError
			g.Expect(errors.As(err, &refused)).To(BeTrue(), "a fault of the archive, not of the disk: %v", err)
			g.Expect(summary.Bytes).To(BeNumerically("<=", usualRules.Bytes+1<<18), "what was written is bounded")
		})
	}
}

func many(n int) []member {
	members := make([]member, n)
	for i := range members {
		members[i] = member{name: fmt.Sprintf("file-%d", i), content: "some content"}
	}
	return members
}

// lyingZip has an entry of 8 MiB that claims to have 10 bytes, in both of its
// headers.
func lyingZip(t *testing.T) []byte {
	archive := zipOf(t, member{name: "a", content: strings.Repeat("\x00", 8<<20)})
	size := make([]byte, 4)
	binary.LittleEndian.PutUint32(size, 8<<20)
	lie := make([]byte, 4)
	binary.LittleEndian.PutUint32(lie, 10)
	if !bytes.Contains(archive, size) {
		t.Fatal("no size to lie about")
	}
	return bytes.ReplaceAll(archive, size, lie)
}

// withFlag sets flags in the directory's only entry; withMethod its method.
func withFlag(archive []byte, flag byte) []byte {
	at := bytes.Index(archive, []byte("PK\x01\x02"))
	archive[at+8] |= flag
	return archive
}

func withMethod(archive []byte, method byte) []byte {
	at := bytes.Index(archive, []byte("PK\x01\x02"))
	archive[at+10] = method
	return archive
}

func corrupted(archive []byte) []byte {
	copy(archive[40:], "\xff\xff\xff\xff")
	return archive
}

// sparseTar has a file that claims a hole of 1 TiB (GNU format 1.0).
func sparseTar(t *testing.T) []byte {
	var plain bytes.Buffer
	w := stdtar.NewWriter(&plain)
	layout := "1\n1099511627776\n0\n"
	content := layout + strings.Repeat("\x00", 512-len(layout))
	header := &stdtar.Header{Typeflag: stdtar.TypeReg, Name: "GNUSparseFile.0/hole", Size: int64(len(content)), Mode: 0o644, Format: stdtar.FormatPAX,
		PAXRecords: map[string]string{"GNU_sparse.major": "1", "GNU_sparse.minor": "0", "GNU_sparse.name": "hole", "GNU_sparse.realsize": "1099511627776"}}
	if err := w.WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// The writer refuses to write records of that name itself.
	return gzipped(t, bytes.ReplaceAll(plain.Bytes(), []byte("GNU_sparse"), []byte("GNU.sparse")))
}

func TestFullDiskIsNotTheArchivesFault(t *testing.T) {
	g := NewWithT(t)
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	folder := t.TempDir()
	g.Expect(syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=64k")).To(Succeed())
	defer func() { g.Expect(syscall.Unmount(folder, 0)).To(Succeed()) }()
	for _, archive := range [][]byte{
		zipOf(t, member{name: "a", content: strings.Repeat("x", 1<<19)}),
		tarOf(t, member{name: "b", content: strings.Repeat("x", 1<<19)}),
	} {
		_, err := Unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), folder, usualRules)
		g.Expect(err).To(MatchError(syscall.ENOSPC))
	}
}

func TestUnpackingEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, archive := range [][]byte{zipOf(t, member{name: "a"}), tarOf(t, member{name: "a"})} {
		_, err := Unpack(ctx, bytes.NewReader(archive), int64(len(archive)), t.TempDir(), usualRules)
		g.Expect(err).To(MatchError(context.Canceled))
	}
}
