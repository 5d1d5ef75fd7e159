package droplet_test

import (
	"archive/tar"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet"
)

var (
	begin = []string{"5 755 home/", "5 755 home/vcap/"}
	// launching is what is added at the end when a droplet has nothing of it.
	launching = []string{"5 755 home/vcap/app/", "5 755 home/vcap/deps/", "5 755 home/vcap/logs/", "5 755 home/vcap/profile.d/", "5 755 home/vcap/tmp/"}
)

func around(lines ...string) []string { return append(append([]string{}, begin...), lines...) }

func TestEntriesOfALayer(t *testing.T) {
	const dirs = "5 750 home/vcap/app/|5 750 home/vcap/deps/|5 750 home/vcap/logs/|5 750 home/vcap/profile.d/|5 750 home/vcap/tmp/"
	all := []entry{folder("./app/"), folder("./deps/"), folder("./logs/"), folder("./profile.d/"), folder("./tmp/")}
	allAnd := func(more ...entry) []entry { return append(append([]entry{}, all...), more...) }
	dirsAnd := func(lines ...string) []string { return around(append(strings.Split(dirs, "|"), lines...)...) }
	long := strings.Repeat("long/", 60) + strings.Repeat("x", 255)
	name := strings.Repeat("n", 255)

	for what, example := range map[string]struct {
		droplet []entry
		want    []string
	}{
		"as staging packs it": {
			append([]entry{folder("./")}, allAnd(file("./app/a", "A"), file("./staging_info.yml", "{}"))...),
			dirsAnd("0 644 home/vcap/app/a = A", "0 644 home/vcap/staging_info.yml = {}"),
		},
		"without ./ in front":            {allAnd(file("app/a", "A")), dirsAnd("0 644 home/vcap/app/a = A")},
		"doubled slashes and dots":       {allAnd(file(".//app/././a", "A")), dirsAnd("0 644 home/vcap/app/a = A")},
		"missing folders come last":      {[]entry{file("x", "")}, around(append([]string{"0 644 home/vcap/x = "}, launching...)...)},
		"some missing folders":           {[]entry{folder("logs"), folder("app")}, around("5 750 home/vcap/logs/", "5 750 home/vcap/app/", launching[1], launching[3], launching[4])},
		"something else in their places": {[]entry{symlink("app", "/srv"), file("logs", "x"), folder("deps"), folder("tmp"), folder("profile.d")}, around("2 777 home/vcap/app -> /srv", "0 644 home/vcap/logs = x", "5 750 home/vcap/deps/", "5 750 home/vcap/tmp/", "5 750 home/vcap/profile.d/")},
		"parents that are not listed":    {allAnd(file("app/b/c/d", "D"), file("app/b/e", "E")), dirsAnd("5 755 home/vcap/app/b/", "5 755 home/vcap/app/b/c/", "0 644 home/vcap/app/b/c/d = D", "0 644 home/vcap/app/b/e = E")},
		"a folder listed after its file": {allAnd(file("app/b/c", "C"), folder("app/b")), dirsAnd("5 755 home/vcap/app/b/", "0 644 home/vcap/app/b/c = C", "5 750 home/vcap/app/b/")},
		"the root's own permissions":     {append([]entry{folder("./").with(mode(0o700))}, all...), dirsAnd()},
		"permissions": {
			allAnd(file("a", "").with(mode(0o400)), folder("b").with(mode(0o600)), folder("c").with(mode(0o1777)), file("d", "").with(mode(0o100755))),
			dirsAnd("0 400 home/vcap/a = ", "5 600 home/vcap/b/", "5 1777 home/vcap/c/", "0 755 home/vcap/d = "),
		},
		"setuid and setgid":               {allAnd(file("a", "").with(mode(0o4755)), file("b", "").with(mode(0o2755)), folder("c").with(mode(0o6777))), dirsAnd("0 755 home/vcap/a = ", "0 755 home/vcap/b = ", "5 777 home/vcap/c/")},
		"symbolic links anywhere":         {allAnd(symlink("a", "/usr/bin/python"), symlink("b", "../../../etc/passwd"), symlink("c", "/home/vcap/app"), symlink("app/d", "gone"), symlink("e", ".")), dirsAnd("2 777 home/vcap/a -> /usr/bin/python", "2 777 home/vcap/b -> ../../../etc/passwd", "2 777 home/vcap/c -> /home/vcap/app", "2 777 home/vcap/app/d -> gone", "2 777 home/vcap/e -> .")},
		"hard links":                      {allAnd(file("./app/a", "A"), hardlink("./app/b", "./app/a"), hardlink("c", "app/b")), dirsAnd("0 644 home/vcap/app/a = A", "1 644 home/vcap/app/b -> home/vcap/app/a", "1 644 home/vcap/c -> home/vcap/app/b")},
		"a hard link to a symbolic link":  {allAnd(symlink("a", "/etc"), hardlink("b", "a"), hardlink("c", "b")), dirsAnd("2 777 home/vcap/a -> /etc", "2 644 home/vcap/b -> /etc", "2 644 home/vcap/c -> /etc")},
		"long names":                      {allAnd(file(long, "L"), symlink("s", long)), nil},
		"the longest name":                {allAnd(file(name, "")), dirsAnd("0 644 home/vcap/" + name + " = ")},
		"names of other languages":        {allAnd(file("app/ö", "U"), file("app/\xff\xfe", "B"), symlink("x", "ñ")), dirsAnd("0 644 home/vcap/app/ö = U", "0 644 home/vcap/app/\xff\xfe = B", "2 777 home/vcap/x -> ñ")},
		"names like whiteouts":            {allAnd(file(".wh", ""), file("x.wh.y", ""), symlink("z", ".wh.z")), dirsAnd("0 644 home/vcap/.wh = ", "0 644 home/vcap/x.wh.y = ", "2 777 home/vcap/z -> .wh.z")},
		"odd but possible names":          {allAnd(file("a b", ""), file("c\nd", ""), file(`e\f`, ""), file("...", ""), file("-rf", "")), dirsAnd("0 644 home/vcap/a b = ", "0 644 home/vcap/c\nd = ", `0 644 home/vcap/e\f = `, "0 644 home/vcap/... = ", "0 644 home/vcap/-rf = ")},
		"contiguous files are files":      {allAnd(file("a", "A").with(func(h *tar.Header) { h.Typeflag = tar.TypeCont })), dirsAnd("0 644 home/vcap/a = A")},
		"git's global header":             {append([]entry{{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "commit"}}}}, all...), dirsAnd()},
		"a folder replaced by itself":     {allAnd(folder("app").with(mode(0o700))), dirsAnd("5 700 home/vcap/app/")},
		"extended attributes":             {allAnd(file("a", "A").with(records(map[string]string{"SCHILY.xattr.user.x": "y", "SCHILY.xattr.security.capability": "\x01\x02"}))), dirsAnd("0 644 home/vcap/a = A")},
		"other PAX records are not kept":  {allAnd(file("a", "A").with(records(map[string]string{"VENDOR.thing": "y"}))), dirsAnd("0 644 home/vcap/a = A")},
		"absolute names":                  {allAnd(file("/app/a", "A"), file("//etc/passwd", "P"), hardlink("b", "/app/a")), dirsAnd("0 644 home/vcap/app/a = A", "5 755 home/vcap/etc/", "0 644 home/vcap/etc/passwd = P", "1 644 home/vcap/b -> home/vcap/app/a")},
		"an absolute root":                {append([]entry{folder("/")}, all...), dirsAnd()},
		"named pipes":                     {allAnd(special("app/log", tar.TypeFifo).with(mode(0o4622)), hardlink("b", "app/log")), dirsAnd("6 622 home/vcap/app/log", "1 644 home/vcap/b -> home/vcap/app/log")},
		"devices are left out":            {allAnd(special("null", tar.TypeChar), special("../../dev/sda", tar.TypeBlock), file("null", "A")), dirsAnd("0 644 home/vcap/null = A")},
		"a file twice":                    {allAnd(file("./a", "1"), hardlink("b", "a"), file("a", "2")), dirsAnd("0 644 home/vcap/a = 1", "1 644 home/vcap/b -> home/vcap/a", "0 644 home/vcap/a = 2")},
		"a linked file twice":             {allAnd(file("a", "1"), hardlink("b", "a"), hardlink("./a", "a"), hardlink("b", "a")), dirsAnd("0 644 home/vcap/a = 1", "1 644 home/vcap/b -> home/vcap/a", "1 644 home/vcap/b -> home/vcap/a")},
		"something else later":            {allAnd(file("a", "1"), symlink("a", "b"), file("a", "2"), special("a", tar.TypeFifo), symlink("a", "c"), folder("a"), file("a/b", "3")), dirsAnd("0 644 home/vcap/a = 1", "2 777 home/vcap/a -> b", "0 644 home/vcap/a = 2", "6 644 home/vcap/a", "2 777 home/vcap/a -> c", "5 750 home/vcap/a/", "0 644 home/vcap/a/b = 3")},
		"folders of incremental archives": {allAnd(folder("a").with(func(h *tar.Header) { h.Typeflag = 'D' }), file("a/b", "B")), dirsAnd("5 750 home/vcap/a/", "0 644 home/vcap/a/b = B")},
		"labels and ACLs":                 {append([]entry{special("backup", 'V'), special("a", 'A')}, allAnd(file("a", "A"))...), dirsAnd("0 644 home/vcap/a = A")},
		"global headers of other vendors": {append([]entry{{Header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"LIBARCHIVE.creationtime": "1", "SCHILY.archtype": "xstar", "mtime": "1"}}}}, all...), dirsAnd()},
		"a staging file of another place": {allAnd(file("app/staging_info.yml", "not: [YAML")), dirsAnd("0 644 home/vcap/app/staging_info.yml = not: [YAML")},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			for _, packed := range [][]byte{archive(t, example.droplet...), zip(t, archive(t, example.droplet...))} {
				_, entries, err := convert(t, packed, droplet.Options{})
				g.Expect(err).NotTo(HaveOccurred())
				if example.want != nil {
					g.Expect(listed(entries)).To(Equal(example.want))
				}
			}
		})
	}
}

func TestWhatIsLeftOutIsCounted(t *testing.T) {
	g := NewWithT(t)
	layer, _, err := convert(t, archive(t,
		file("a", "").with(mode(0o4755)), folder("b").with(mode(0o2755)), file("c", ""),
		file("d", "").with(records(map[string]string{"SCHILY.xattr.user.x": "y", "SCHILY.xattr.security.capability": "\x01\x02", "SCHILY.acl.access": "u::rwx", "VENDOR.x": "y"})),
	), droplet.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(layer.SetIDBits).To(Equal(2))
	g.Expect(layer.ExtendedAttributes).To(Equal(3))
	layer, _, err = convert(t, archive(t, special("null", tar.TypeChar), special("sda", tar.TypeBlock), special("a", 'A'), file("a", "")), droplet.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(layer.Devices).To(Equal(2))
	g.Expect(layer.ExtendedAttributes).To(Equal(1))
}

func TestTimesOfALayer(t *testing.T) {
	g := NewWithT(t)
	at := func(name string, at time.Time) entry {
		return file(name, "").with(func(h *tar.Header) { h.ModTime, h.Format = at, tar.FormatPAX })
	}
	_, entries, err := convert(t, archive(t,
		at("now", then), at("before", time.Unix(-5, 0)), at("far", time.Unix(1<<40, 0)),
		file("accessed", "").with(func(h *tar.Header) { h.AccessTime, h.ChangeTime, h.Format = then, then, tar.FormatPAX }),
	), droplet.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	times := map[string]int64{}
	for _, e := range entries {
		times[e.Name] = e.ModTime.Unix()
	}
	g.Expect(times).To(Equal(map[string]int64{
		"home/": 0, "home/vcap/": 0, "home/vcap/now": then.Unix(), "home/vcap/before": 0, "home/vcap/far": 1<<33 - 1,
		"home/vcap/accessed": then.Unix(), "home/vcap/app/": 0, "home/vcap/deps/": 0, "home/vcap/logs/": 0, "home/vcap/profile.d/": 0, "home/vcap/tmp/": 0,
	}))
}
