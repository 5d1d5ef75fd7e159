package droplet_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/opi"
)

func TestStreamsThatAreWhole(t *testing.T) {
	g := NewWithT(t)
	packed := archive(t, folder("./app/"), file("./app/a", strings.Repeat("content ", 1000)))
	want, _, err := convert(t, packed, droplet.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	for what, stream := range map[string][]byte{
		"gzipped":                      zip(t, packed),
		"in two members":               append(zip(t, packed[:700]), zip(t, packed[700:])...),
		"an empty member":              append(zip(t, packed), zip(t, nil)...),
		"padded as tapes are":          append(slices.Clone(packed), make([]byte, 10240)...),
		"gzipped, padded":              zip(t, append(slices.Clone(packed), make([]byte, 1<<20)...)),
		"padded in a member of it own": append(zip(t, packed), zip(t, make([]byte, 512))...),
	} {
		got, _, err := convert(t, stream, droplet.Options{Expect: promise(stream)})
		g.Expect(err).NotTo(HaveOccurred(), what)
		g.Expect(got.DiffID).To(Equal(want.DiffID), what)
		g.Expect(got.Digest).To(Equal(want.Digest), what)
	}
}

func TestStreamsThatAreRefused(t *testing.T) {
	packed := archive(t, file("app/a", strings.Repeat("content ", 1000)))
	zipped := zip(t, packed)
	damaged := slices.Clone(zipped)
	damaged[len(damaged)-8] ^= 1
	for what, example := range map[string]struct {
		stream []byte
		reason string
	}{
		"nothing":                     {nil, "is empty"},
		"a byte":                      {[]byte{0x1f}, "is cut off"},
		"gzip's magic":                {gzipMagic(), "is cut off"},
		"gzip of nothing":             {zip(t, nil), "is cut off: its archive has no end"},
		"an error page":               {[]byte("<html>" + strings.Repeat("sorry ", 200) + "</html>"), "is no tar archive, gzipped or plain"},
		"a zip":                       {append([]byte("PK\x03\x04"), make([]byte, 1000)...), "is no tar archive"},
		"gzip of something else":      {zip(t, bytes.Repeat([]byte("x"), 5000)), "is no tar archive"},
		"another compression":         {[]byte("\x1f\x8b\x07" + strings.Repeat("x", 100)), "is damaged"},
		"a wrong checksum within":     {damaged, "isn't what was packed"},
		"text after gzip":             {append(slices.Clone(zipped), "garbage, and more of it"...), "something else than gzip"},
		"zeros after gzip":            {append(slices.Clone(zipped), make([]byte, 512)...), "something else than gzip"},
		"text after the archive":      {append(slices.Clone(packed), "garbage"...), "goes on after the end of its archive"},
		"two archives":                {append(slices.Clone(packed), packed...), "goes on after the end of its archive"},
		"two gzipped archives":        {append(slices.Clone(zipped), zipped...), "goes on after the end of its archive"},
		"an archive without an end":   {zip(t, packed[:len(packed)-1024]), "its archive has no end"},
		"half an end":                 {zip(t, packed[:len(packed)-512]), "its archive has no end"},
		"a header that isn't one":     {slices.Concat(packed[:len(packed)-1024], bytes.Repeat([]byte("x"), 512), make([]byte, 1024)), `is damaged at or after its entry "app/a"`},
		"an end that isn't one":       {slices.Concat(packed[:len(packed)-512], bytes.Repeat([]byte("x"), 512)), `is damaged at or after its entry "app/a"`},
		"content that ends too early": {zip(t, packed[:1024]), `is cut off at or after its entry "app/a"`},
	} {
		t.Run(what, func(t *testing.T) {
			_, _, err := convert(t, example.stream, droplet.Options{})
			expectRefusal(t, err, example.reason)
			_, _, err = convert(t, example.stream, droplet.Options{Expect: promise(example.stream)})
			expectRefusal(t, err, example.reason)

			// Where something else was promised, it was not the droplet.
			_, _, err = convert(t, example.stream, droplet.Options{Expect: promise(zipped)})
			NewWithT(t).Expect(err).To(MatchError(And(ContainSubstring("was promised"), ContainSubstring(example.reason))))
			NewWithT(t).Expect(err).To(MatchError(droplet.ErrChecksum))
			NewWithT(t).Expect(err).NotTo(MatchError(droplet.ErrRefused))
		})
	}
}

func gzipMagic() []byte { return []byte{0x1f, 0x8b} }

func TestPartsOfADropletNeverMakeALayer(t *testing.T) {
	g := NewWithT(t)
	var entries []entry
	for i := range 20 {
		entries = append(entries, folder(fmt.Sprintf("./app/%d", i)), file(fmt.Sprintf("./app/%d/f", i), strings.Repeat("some text\n", i*30)))
	}
	plain := archive(t, entries...)
	for what, whole := range map[string][]byte{"plain": plain, "gzipped": zip(t, plain)} {
		_, _, err := convert(t, whole, droplet.Options{})
		g.Expect(err).NotTo(HaveOccurred())
		step := 512
		if what == "gzipped" {
			step = 7
		}
		for size := 0; size < len(whole); size += step {
			_, _, err := convert(t, whole[:size], droplet.Options{})
			g.Expect(err).To(MatchError(droplet.ErrRefused), "%s, %d of %d bytes", what, size, len(whole))
			_, _, err = convert(t, whole[:size], droplet.Options{Expect: promise(whole)})
			g.Expect(err).To(MatchError(droplet.ErrChecksum), "%s, %d of %d bytes", what, size, len(whole))
		}
	}
}

func TestPromisesAreChecked(t *testing.T) {
	g := NewWithT(t)
	packed := zip(t, archive(t, file("app/a", "A")))
	right := promise(packed)
	upper := opi.Checksum{Algorithm: "sha1", Value: strings.ToUpper(right[0].Value)}
	for _, promised := range [][]opi.Checksum{right, right[:1], right[1:], {upper}} {
		_, _, err := convert(t, packed, droplet.Options{Expect: promised})
		g.Expect(err).NotTo(HaveOccurred())
	}
	other := promise([]byte("another droplet"))
	for i, algorithm := range []string{"sha1", "sha256"} {
		for _, promised := range [][]opi.Checksum{{other[i]}, {right[1-i], other[i]}} {
			_, _, err := convert(t, packed, droplet.Options{Expect: promised})
			g.Expect(err).To(MatchError(&droplet.Mismatch{Algorithm: algorithm, Promised: other[i].Value, Found: right[i].Value}))
			g.Expect(err).To(MatchError(droplet.ErrChecksum))
			g.Expect(err).NotTo(MatchError(droplet.ErrRefused))
			g.Expect(err).To(MatchError(ContainSubstring(fmt.Sprintf("the droplet's %s is %s, but %s was promised", algorithm, right[i].Value, other[i].Value))))
		}
	}
	for text, promised := range map[string]opi.Checksum{
		`expect[1].algorithm: "md5" is neither sha1 nor sha256`: {Algorithm: "md5", Value: "x"},
		`expect[1].value: "abc" is not a sha1 of 40 hex digits`: {Algorithm: "sha1", Value: "abc"},
		`expect[1].value: "" is not a sha256 of 64 hex digits`:  {Algorithm: "sha256"},
	} {
		_, _, err := convert(t, packed, droplet.Options{Expect: []opi.Checksum{right[0], promised}})
		g.Expect(err).To(MatchError(ContainSubstring(text)))
		g.Expect(opi.FieldErrors(err)).To(HaveLen(1))
	}
}
