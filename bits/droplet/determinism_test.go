package droplet_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet"
)

// goldenDroplet has one of everything that a layer can hold, and never changes.
func goldenDroplet(t *testing.T) []byte {
	return archive(t,
		folder("./").with(mode(0o700)),
		folder("./app/"),
		file("./app/start", "#!/bin/sh\nexec ./server\n").with(mode(0o755)),
		file("./app/"+strings.Repeat("directory/", 30)+"file", "a long name"),
		file("./app/ö", "not ASCII"),
		symlink("./app/current", "start"),
		symlink("./app/python", "/usr/bin/python3"),
		hardlink("./app/again", "./app/start"),
		file("./app/setuid", "x").with(mode(0o4711)),
		folder("./logs/").with(mode(0o1777)),
		file("./staging_info.yml", `{"start_command":"./start"}`),
		file("./app/xattr", "x").with(records(map[string]string{"SCHILY.xattr.user.a": "b"})),
	)
}

// If this test fails, the layers of droplets that are in registries can't be found
// again, and every app's image changes. Find out why before changing the digest.
func TestDiffIDIsTheSameInAllReleases(t *testing.T) {
	const golden = "sha256:22ba9b4f462b0a087ff011c8fcc9b1e147be76547870a69109c458fe199e2a50"
	for _, o := range []droplet.Options{{}, {Level: 9}, {Compression: droplet.Zstd}} {
		layer, _, err := convert(t, goldenDroplet(t), o)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(layer.DiffID.String()).To(Equal(golden))
	}
}

const mixedFiles = 24

// mixed is a droplet of several blocks, in part text and in part noise.
func mixed(t testing.TB) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var entries []entry
	for i := range mixedFiles {
		var content strings.Builder
		for content.Len() < 80_000 {
			if i%4 == 0 {
				content.WriteByte(byte(random.Uint32()))
			} else {
				fmt.Fprintf(&content, "line %d of %d\n", random.IntN(50), i)
			}
		}
		entries = append(entries, file(fmt.Sprintf("app/dir%d/file%d", i/10, i), content.String()))
	}
	return archive(t, entries...)
}

func TestTheSameDropletMakesTheSameLayer(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	packed := zip(t, mixed(t))
	for _, o := range []droplet.Options{{}, {Level: 6}, {Compression: droplet.Zstd}, {Compression: droplet.Zstd, Level: 8}} {
		t.Run(fmt.Sprintf("%s level %d", o.Compression, o.Level), func(t *testing.T) {
			g := NewWithT(t)
			want, _, err := convert(t, packed, o)
			g.Expect(err).NotTo(HaveOccurred())
			for _, processors := range []int{1, 5} {
				runtime.GOMAXPROCS(processors)
				for _, o.Parallel = range []int{0, 1, 7} {
					got, _, err := convert(t, packed, o)
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(got).To(Equal(want), "%d processors, %d in parallel", processors, o.Parallel)
				}
			}
			// How the bytes arrive has no meaning either.
			var blob bytes.Buffer
			got, err := droplet.Convert(context.Background(), iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(packed))), &blob, o)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(want))
		})
	}
}

func TestFormatsOfTarMakeTheSameLayer(t *testing.T) {
	g := NewWithT(t)
	seen := map[string]bool{}
	for _, format := range []tar.Format{tar.FormatUnknown, tar.FormatPAX, tar.FormatGNU} {
		as := func(h *tar.Header) { h.Format = format }
		layer, _, err := convert(t, archive(t,
			file("./app/"+strings.Repeat("long/", 60)+"ö", "A").with(as), symlink("./s", strings.Repeat("t", 300)).with(as), folder("d").with(as),
		), droplet.Options{})
		g.Expect(err).NotTo(HaveOccurred())
		seen[layer.Digest.String()] = true
	}
	g.Expect(seen).To(HaveLen(1))
}

func TestDifferentDropletsMakeDifferentLayers(t *testing.T) {
	g := NewWithT(t)
	seen := map[string]string{}
	for what, entries := range map[string][]entry{
		"one":            {file("a", "A")},
		"other content":  {file("a", "B")},
		"other name":     {file("b", "A")},
		"other time":     {file("a", "A").with(func(h *tar.Header) { h.ModTime = h.ModTime.Add(5e9) })},
		"other mode":     {file("a", "A").with(mode(0o600))},
		"one more entry": {file("a", "A"), file("b", "")},
	} {
		layer, _, err := convert(t, archive(t, entries...), droplet.Options{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(seen).NotTo(HaveKey(layer.Digest.String()), "%s, as %s", what, seen[layer.Digest.String()])
		seen[layer.Digest.String()] = what
	}
}

func TestGzipHeaderSaysNothing(t *testing.T) {
	g := NewWithT(t)
	var blob bytes.Buffer
	_, err := droplet.Convert(context.Background(), bytes.NewReader(goldenDroplet(t)), &blob, droplet.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	// RFC 1952: magic, deflate, no optional fields, no time, fastest, unknown system.
	g.Expect(blob.Bytes()[:10]).To(Equal([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255}))
}

func TestContentAndNamesSurvive(t *testing.T) {
	g := NewWithT(t)
	packed := mixed(t)
	for _, o := range []droplet.Options{{}, {Compression: droplet.Zstd}} {
		_, got, err := convert(t, zip(t, packed), o)
		g.Expect(err).NotTo(HaveOccurred())
		content := map[string]string{}
		for _, e := range got {
			content[e.Name] = e.content
		}
		for r := tar.NewReader(bytes.NewReader(packed)); ; {
			h, err := r.Next()
			if err != nil {
				break
			}
			var want bytes.Buffer
			_, err = want.ReadFrom(r)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(content["home/vcap/"+h.Name] == want.String()).To(BeTrue(), h.Name)
		}
		g.Expect(got).To(HaveLen(2+4+mixedFiles+4), "home, home/vcap; app and its folders; files; the other folders for launching")
	}
}
