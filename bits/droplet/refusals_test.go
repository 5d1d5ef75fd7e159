package droplet_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet"
)

func TestEntriesThatAreRefused(t *testing.T) {
	global := func(key, value string) entry {
		return entry{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{key: value}}}
	}
	deep := strings.Repeat(strings.Repeat("d", 250)+"/", 16)
	for what, example := range map[string]struct {
		droplet []entry
		entry   string
		reason  string
	}{
		"leading out":               {[]entry{file("../etc/passwd", "x")}, "../etc/passwd", `has ".." in its path`},
		"leading out and in again":  {[]entry{file("app/../../vcap/x", "x")}, "app/../../vcap/x", `has ".." in its path`},
		"the folder above":          {[]entry{folder("..")}, "..", `has ".." in its path`},
		"a root that is a link":     {[]entry{symlink("./", "/etc")}, "./", "stands for the droplet's root and is no folder"},
		"a whiteout":                {[]entry{file("app/.wh.config", "")}, "app/.wh.config", `begins with ".wh."`},
		"an opaque whiteout":        {[]entry{file("./.wh..wh..opq", "")}, "./.wh..wh..opq", `begins with ".wh."`},
		"below a whiteout":          {[]entry{file("app/.wh.x/y", "")}, "app/.wh.x/y", `begins with ".wh."`},
		"a link as a whiteout":      {[]entry{symlink(".wh.x", "x")}, ".wh.x", `begins with ".wh."`},
		"a name too long":           {[]entry{file(strings.Repeat("n", 256), "")}, strings.Repeat("n", 256), "has a name of 256 bytes"},
		"a path too long":           {[]entry{file(deep+"x", "")}, deep + "x", "too many for Linux"},
		"nothing but devices":       {[]entry{special("app/null", tar.TypeChar), special("sda", tar.TypeBlock)}, "", "has no entries"},
		"a kind that is not known":  {[]entry{special("app/vol", 'M')}, "app/vol", "is of a kind that is not known, 'M'"},
		"below a named pipe":        {[]entry{special("a", tar.TypeFifo), file("a/b", "x")}, "a/b", `lies below "a", which is a named pipe`},
		"through a later link":      {[]entry{file("a", "x"), symlink("a", "/etc"), file("a/b", "x")}, "a/b", `lies below "a", which is a symbolic link`},
		"through a symbolic link":   {[]entry{symlink("app", "/etc"), file("app/cron.d/x", "x")}, "app/cron.d/x", `lies below "app", which is a symbolic link in this droplet`},
		"through a deeper one":      {[]entry{symlink("app/a", "/"), file("app/a/b/c/d", "x")}, "app/a/b/c/d", `lies below "app/a", which is a symbolic link`},
		"a folder through one":      {[]entry{symlink("a", "."), folder("a/b")}, "a/b", `lies below "a", which is a symbolic link`},
		"through a linked link":     {[]entry{symlink("a", "/etc"), hardlink("b", "a"), file("b/x", "x")}, "b/x", `lies below "b", which is a symbolic link`},
		"below a file":              {[]entry{file("a", "x"), file("a/b", "x")}, "a/b", `lies below "a", which is a file`},
		"below a hard link":         {[]entry{file("a", "x"), hardlink("b", "a"), file("b/c", "x")}, "b/c", `lies below "b", which is a file`},
		"a hard link to nothing":    {[]entry{hardlink("a", "gone")}, "a", `is a hard link to "gone", which is not in the droplet before it`},
		"a hard link too early":     {[]entry{hardlink("a", "b"), file("b", "x")}, "a", `is a hard link to "b", which is not in the droplet before it`},
		"a hard link to itself":     {[]entry{hardlink("a", "a")}, "a", `is a hard link to "a", which is not in the droplet before it`},
		"a hard link out":           {[]entry{hardlink("a", "../../etc/shadow")}, "a", `is a hard link to "../../etc/shadow", which has ".."`},
		"an absolute hard link":     {[]entry{hardlink("a", "/etc/shadow")}, "a", `is a hard link to "/etc/shadow", which is not in the droplet before it`},
		"a hard link to a device":   {[]entry{special("b", tar.TypeBlock), hardlink("a", "b")}, "a", `is a hard link to "b", which is not in the droplet before it`},
		"a hard link to a folder":   {[]entry{folder("b"), hardlink("a", "b")}, "a", `is a hard link to "b", which is a folder`},
		"a hard link to the root":   {[]entry{hardlink("a", "./")}, "a", `is a hard link to "./", which is a folder`},
		"hard link through a link":  {[]entry{symlink("l", "/etc"), hardlink("a", "l/shadow")}, "a", "which is not in the droplet before it"},
		"a link to nothing":         {[]entry{symlink("a", "")}, "a", "is a symbolic link to nothing"},
		"a link to too much":        {[]entry{symlink("a", strings.Repeat("x", 4096))}, "a", "more than 4095 bytes"},
		"a link replacing a folder": {[]entry{folder("app"), symlink("app", "/etc")}, "app", "is there twice, as a folder and as a symbolic link"},
		"a link replacing a parent": {[]entry{file("a/b", ""), symlink("a", "/etc")}, "a", "is there twice, as a folder and as a symbolic link"},
		"a global path":             {[]entry{global("path", "x"), file("a", "1")}, "", `has a global PAX header that sets "path"`},
		"no entries":                {nil, "", "has no entries"},
		"no entries but the root":   {[]entry{folder("./")}, "", "has no entries"},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			packed := archive(t, example.droplet...)
			for _, packed := range [][]byte{packed, zip(t, packed)} {
				for _, o := range []droplet.Options{{}, {Compression: droplet.Zstd}, {Expect: promise(packed)}} {
					_, _, err := convert(t, packed, o)
					refusal := expectRefusal(t, err, example.reason)
					g.Expect(refusal.Entry).To(Equal(example.entry))
					g.Expect(len(refusal.Error())).To(BeNumerically("<", 600))
				}
			}
		})
	}
}

func TestNamesThatGoCallsInsecure(t *testing.T) {
	t.Setenv("GODEBUG", "tarinsecurepath=0")
	_, _, err := convert(t, archive(t, file("../a", "A")), droplet.Options{})
	expectRefusal(t, err, `the droplet's entry "../a" has ".." in its path`)
}

func TestNamesWithNULAreRefused(t *testing.T) {
	// Only the name of a sparse file can bring one along.
	pax := paxRecord("GNU.sparse.major", "0") + paxRecord("GNU.sparse.minor", "1") + paxRecord("GNU.sparse.name", "a\x00b") +
		paxRecord("GNU.sparse.map", "0,1") + paxRecord("GNU.sparse.size", "1") + paxRecord("GNU.sparse.numblocks", "1")
	packed := slices.Concat(block('x', "pax", len(pax)), padded(pax), block('0', "x", 1), padded("A"), make([]byte, 1024))
	_, _, err := convert(t, packed, droplet.Options{})
	expectRefusal(t, err, "NUL byte in its name")
}

func TestLimits(t *testing.T) {
	g := NewWithT(t)
	many := make([]entry, 20)
	for i := range many {
		many[i] = file(fmt.Sprintf("app/%d", i), "x")
	}
	packed := zip(t, archive(t, many...))
	_, _, err := convert(t, packed, droplet.Options{MaxEntries: 25})
	g.Expect(err).NotTo(HaveOccurred(), "20 files, app, and 4 folders for launching")
	for _, limit := range []int{1, 20, 24} {
		_, _, err = convert(t, packed, droplet.Options{MaxEntries: limit})
		g.Expect(expectRefusal(t, err, fmt.Sprintf("has more than %d entries", limit)).Entry).To(BeEmpty())
	}

	bomb := zip(t, archive(t, file("app/small", "x"), file("app/zeros", strings.Repeat("\x00", 10<<20))))
	_, _, err = convert(t, bomb, droplet.Options{MaxUncompressedBytes: 1 << 20})
	g.Expect(expectRefusal(t, err, "unpack to more than 1048576 bytes").Entry).To(Equal("app/zeros"))
	// Headers alone make no layer and must have an end too.
	roots := make([]entry, 5000)
	for i := range roots {
		roots[i] = folder("./")
	}
	_, _, err = convert(t, zip(t, archive(t, roots...)), droplet.Options{MaxUncompressedBytes: 1 << 20})
	expectRefusal(t, err, "unpacks to more than 1048576 bytes")
	_, _, err = convert(t, zip(t, append(archive(t, many...), make([]byte, 2<<20)...)), droplet.Options{MaxUncompressedBytes: 1 << 20})
	expectRefusal(t, err, "unpacks to more than 1048576 bytes")
	// Members without content unpack to nothing.
	empty := bytes.Repeat(zip(t, nil), 60_000)
	for _, promised := range []droplet.Options{{}, {Expect: promise(empty)}} {
		promised.MaxUncompressedBytes = 1 << 20
		_, _, err = convert(t, empty, promised)
		expectRefusal(t, err, "has more than 1048576 bytes")
	}

	// Folders that are not listed add up.
	var deep []entry
	for i := range 200 {
		deep = append(deep, file(fmt.Sprint(i)+strings.Repeat("/d", 100), ""))
	}
	_, _, err = convert(t, archive(t, deep...), droplet.Options{MaxUncompressedBytes: 1 << 20})
	expectRefusal(t, err, "makes a layer of more than 1048576 bytes")

	// Targets take memory: 1 MiB of them are always allowed.
	var named []entry
	for i := range 600 {
		named = append(named, symlink(fmt.Sprint(i), strings.Repeat("t", 4000)))
	}
	_, _, err = convert(t, archive(t, named...), droplet.Options{MaxEntries: 700})
	expectRefusal(t, err, "has symbolic links to paths of more than 1048576 bytes")
	_, _, err = convert(t, archive(t, named[:200]...), droplet.Options{MaxEntries: 700})
	g.Expect(err).NotTo(HaveOccurred())
}

func TestOptionsThatAreWrong(t *testing.T) {
	for field, o := range map[string]droplet.Options{
		"compression: \"lzma\" is neither":      {Compression: "lzma"},
		"level: must be 0 to 9 for gzip, is 10": {Level: 10},
		"level: must be 0 to 22 for zstd":       {Compression: droplet.Zstd, Level: 23},
		"level: must be 0 to 9 for gzip, is -1": {Level: -1},
		"parallel: must not be negative":        {Parallel: -1},
		"maxUncompressedBytes: must not be":     {MaxUncompressedBytes: -1},
		"maxEntries: must not be negative":      {MaxEntries: -1},
	} {
		_, _, err := convert(t, nil, o)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(field)))
	}
}
