package droplet_test

import (
	"archive/tar"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet"
)

// GNU tar 1.35 made the archives, in its own format and in POSIX' (tar -S -c, then -r): with a
// named pipe, a sparse file, long names, a file that was added again with other content, one of
// two hard links that was added twice again, and an absolute name.
func TestDropletsOfGNUTar(t *testing.T) {
	for _, format := range []string{"gnu", "posix"} {
		t.Run(format, func(t *testing.T) {
			g := NewWithT(t)
			packed, err := os.ReadFile("testdata/" + format + ".tgz")
			g.Expect(err).NotTo(HaveOccurred())
			layer, entries, err := convert(t, packed, droplet.Options{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(layer.StagingInfo.StartCommand).To(Equal("./one"))

			long := strings.Repeat("n", 120)
			files := unpackedFiles(entries)
			g.Expect(files["home/vcap/app/sparse"]).To(And(HaveLen(200_000), HaveSuffix("data"+strings.Repeat("\x00", 49_996))))
			delete(files, "home/vcap/app/sparse")
			g.Expect(files).To(Equal(map[string]string{
				"home/vcap/app/one": "linked\n", "home/vcap/app/two": "linked\n", "home/vcap/app/twice": "v2\n",
				"home/vcap/app/" + long + "/" + long: "long\n", "home/vcap/staging_info.yml": `{"start_command":"./one"}` + "\n",
			}))
			kinds := map[string]byte{}
			for _, e := range entries {
				kinds[e.Name] = e.Typeflag
			}
			g.Expect(kinds).To(And(HaveKeyWithValue("home/vcap/app/pipe", byte(tar.TypeFifo)), HaveKeyWithValue("home/vcap/app/link", byte(tar.TypeSymlink))))
		})
	}
}
