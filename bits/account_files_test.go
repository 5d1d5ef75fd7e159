package bits

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	. "github.com/onsi/gomega"
)

// entry is a file, folder, whiteout or link of a layer.
type entry struct {
	name string
	kind byte
	text string
}

func file(name, content string) entry { return entry{name, tar.TypeReg, content} }
func folder(name string) entry        { return entry{name, tar.TypeDir, ""} }
func link(name, target string) entry  { return entry{name, tar.TypeSymlink, target} }

// layerOf packs entries in the given order.
func layerOf(t testing.TB, entries ...entry) v1.Layer {
	t.Helper()
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: e.kind, Mode: 0o644}
		if e.kind == tar.TypeReg {
			header.Size = int64(len(e.text))
		} else {
			header.Linkname = e.text
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if e.kind == tar.TypeReg {
			if _, err := io.WriteString(w, e.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(packed.Bytes())), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// imageOf stacks layers, the lowest first, under a config with USER user.
func imageOf(t testing.TB, user string, layers ...v1.Layer) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Config.User = user
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

func TestAccountFilesAsAContainerSeesThem(t *testing.T) {
	lower := []entry{folder("etc/"), file("etc/passwd", "lower"), file("etc/group", "group")}
	const gone, linked = "(gone)", "(link)"
	for name, example := range map[string]struct {
		layers [][]entry
		want   string
	}{
		"one layer":                       {[][]entry{lower}, "lower"},
		"names with a dot":                {[][]entry{{file("./etc/passwd", "dot")}}, "dot"},
		"names with a slash":              {[][]entry{{file("/etc/passwd", "slash")}}, "slash"},
		"names that lead out stay in":     {[][]entry{{file("../../etc/passwd", "in")}}, "in"},
		"an upper layer replaces":         {[][]entry{lower, {file("etc/passwd", "upper")}}, "upper"},
		"an upper layer without it":       {[][]entry{lower, {folder("etc"), file("etc/hosts", "x"), file("usr/etc/passwd", "x")}}, "lower"},
		"the last entry of a layer wins":  {[][]entry{{file("etc/passwd", "first"), file("etc/passwd", "last")}}, "last"},
		"removed":                         {[][]entry{lower, {file("etc/.wh.passwd", "")}}, gone},
		"removed and made again above":    {[][]entry{lower, {file("etc/.wh.passwd", "")}, {file("etc/passwd", "again")}}, "again"},
		"replaced in one layer":           {[][]entry{lower, {file("etc/.wh.passwd", ""), file("etc/passwd", "same")}}, "same"},
		"folder removed":                  {[][]entry{lower, {file(".wh.etc", "")}}, gone},
		"folder removed and made again":   {[][]entry{lower, {file(".wh.etc", ""), folder("etc"), file("etc/passwd", "new")}}, "new"},
		"folder emptied":                  {[][]entry{lower, {folder("etc"), file("etc/.wh..wh..opq", "")}}, gone},
		"folder emptied, filled after":    {[][]entry{lower, {file("etc/.wh..wh..opq", ""), file("etc/passwd", "after")}}, "after"},
		"folder emptied, filled before":   {[][]entry{lower, {file("etc/passwd", "before"), file("etc/.wh..wh..opq", "")}}, "before"},
		"root emptied":                    {[][]entry{lower, {file(".wh..wh..opq", "")}}, gone},
		"another removed":                 {[][]entry{lower, {file("etc/.wh.passwd-", ""), file(".wh.etcetera", "")}}, "lower"},
		"folder replaced by a file":       {[][]entry{lower, {file("etc", "")}, {folder("etc")}}, gone},
		"folder replaced by a link":       {[][]entry{lower, {link("etc", "/elsewhere")}}, linked},
		"a link":                          {[][]entry{lower, {link("etc/passwd", "/etc/shadow")}}, linked},
		"a link leading out":              {[][]entry{{link("etc/passwd", "../../../../etc/passwd")}}, linked},
		"a hard link":                     {[][]entry{{file("x", "x"), {"etc/passwd", tar.TypeLink, "x"}}}, linked},
		"a folder":                        {[][]entry{lower, {folder("etc/passwd")}}, "(is not a file)"},
		"too large":                       {[][]entry{{file("etc/passwd", strings.Repeat("x", maxAccountFileBytes+1))}}, "(has more than"},
		"an image without layers":         {nil, gone},
		"an image without the file":       {[][]entry{{file("app", "x")}}, gone},
		"an empty file is there, no less": {[][]entry{lower, {file("etc/passwd", "")}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var layers []v1.Layer
			for _, entries := range example.layers {
				layers = append(layers, layerOf(t, entries...))
			}
			found, err := readAccountFiles(layersIn(t, imageOf(t, "", layers...)), passwdPath)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(found).NotTo(HaveKey(groupPath), "nobody asked for it")
			got, there := found[passwdPath]
			switch {
			case example.want == gone:
				g.Expect(there).To(BeFalse())
			case example.want == linked:
				g.Expect(got.unusable).To(ContainSubstring("link"))
			case strings.HasPrefix(example.want, "("):
				g.Expect("(" + got.unusable + ")").To(HavePrefix(example.want))
			default:
				g.Expect(there).To(BeTrue())
				g.Expect(string(got.content)).To(Equal(example.want))
			}
		})
	}
}

func TestUpperLayersAreEnoughWhenTheyHaveAll(t *testing.T) {
	g := NewWithT(t)
	broken := unreadable{layerOf(t, file("etc/passwd", "x"))}
	found, err := readAccountFiles(layersIn(t, imageOf(t, "", broken, layerOf(t, file("etc/passwd", "p")), layerOf(t, file("etc/group", "g")))), passwdPath, groupPath)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(found[passwdPath].content)).To(Equal("p"))
	g.Expect(string(found[groupPath].content)).To(Equal("g"))

	_, err = readAccountFiles(layersIn(t, imageOf(t, "", broken)), passwdPath)
	g.Expect(err).To(MatchError(And(ContainSubstring("read its layer sha256:"), ContainSubstring("unexpected EOF"))))
}

// unreadable is a layer whose content can't be read.
type unreadable struct{ v1.Layer }

func (unreadable) Uncompressed() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }

func TestUnpackingIsBounded(t *testing.T) {
	g := NewWithT(t)
	left := int64(1000)
	_, err := scanLayer(layerOf(t, file("zeros", strings.Repeat("\x00", 10_000))), []string{passwdPath}, &left)
	g.Expect(err).To(MatchError(ContainSubstring("unpacks to too many bytes")))
}

func layersIn(t *testing.T, image v1.Image) []layerSource {
	t.Helper()
	layers, err := image.Layers()
	check(t, err)
	var sources []layerSource
	for _, layer := range layers {
		sources = append(sources, layer)
	}
	return sources
}
