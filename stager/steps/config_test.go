package steps

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

const (
	goodFetch = `{"workspace":"/workspace","appURL":"https://u:p@blobs/app?sig=x","appChecksum":{"algorithm":"sha256","value":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},"buildpacks":[{"name":"ruby","key":"k","url":"https://blobs/k","checksum":{"algorithm":"sha256","value":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"skipDetect":true},{"name":"custom","key":"https://github.com/x/y#main","url":"https://token@github.com/x/y#main"}],"cacheURL":"https://blobs/cache","cacheChecksum":{"algorithm":"sha1","value":"da39a3ee5e6b4b0d3255bfef95601890afd80709"},"tls":{"certificate":"/c","key":"/k","authorities":["/a"]},"parallel":2,"limits":{"archiveBytes":1,"unpackedBytes":2,"entries":3}}`
	goodBuild = `{"workspace":"/tmp","buildpacks":[{"name":"ruby","key":"k","skipDetect":true}],"stack":"cflinuxfs4","environmentFile":"/e","home":"/home/vcap","memoryMiB":1024,"diskMiB":4096}`
	goodPush  = `{"workspace":"/workspace","stack":"cflinuxfs4","dropletURL":"https://uploader/v1/droplet/g?cc-droplet-upload-uri=https://cc/x","cacheURL":"https://uploader/c","registry":{"address":"registry:5000","prefix":"irene","usernameFile":"/u","passwordFile":"/p","caFile":"/c","plainHTTP":true,"spoolDir":"/s"}}`
)

func TestConfigurations(t *testing.T) {
	g := NewWithT(t)
	fetch, err := ParseConfig[FetchConfig]([]byte(goodFetch))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fetch.Buildpacks[0].Checksum.Algorithm).To(Equal("sha256"))
	build, err := ParseConfig[BuildConfig]([]byte(goodBuild))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(build.Buildpacks).To(Equal([]BuildBuildpack{{Name: "ruby", Key: "k", SkipDetect: true}}))
	push, err := ParseConfig[PushConfig]([]byte(goodPush + "\n"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(push.Registry.PasswordFile).To(Equal("/p"))
	for config, text := range map[any]string{&fetch: goodFetch, &build: goodBuild, &push: goodPush} {
		again, err := json.Marshal(config)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(again)).To(MatchJSON(text))
	}
}

func TestWrongConfigurations(t *testing.T) {
	fetch := func(old, replacement string) error {
		if !strings.Contains(goodFetch, old) {
			t.Fatalf("nothing to replace: %s", old)
		}
		_, err := ParseConfig[FetchConfig]([]byte(strings.Replace(goodFetch, old, replacement, 1)))
		return err
	}
	build := func(old, replacement string) error {
		_, err := ParseConfig[BuildConfig]([]byte(strings.Replace(goodBuild, old, replacement, 1)))
		return err
	}
	push := func(old, replacement string) error {
		_, err := ParseConfig[PushConfig]([]byte(strings.Replace(goodPush, old, replacement, 1)))
		return err
	}
	for want, err := range map[string]error{
		`unknown field "extra"`:                                    fetch(`"parallel"`, `"extra"`),
		"something follows the JSON document":                      fetch(`"entries":3}}`, `"entries":3}} {}`),
		"unexpected EOF":                                           fetch(`}}`, ``),
		"workspace: is not an absolute path":                       fetch("/workspace", "workspace"),
		"appURL: is not an http or https URL":                      fetch("https://u:p@blobs", "ftp://u:p@blobs"),
		"cacheURL: is not an http":                                 fetch("https://blobs/cache", "%zz"),
		"cacheChecksum.algorithm: must be sha1 or sha256":          fetch(`"sha1"`, `"md5"`),
		"appChecksum.value: is not a digest of that algorithm":     fetch("ba78", "zz78"),
		"cacheChecksum.value: is not a digest of that algorithm":   fetch("da39", "zz39"),
		"buildpacks[0].checksum.value: is not a digest":            fetch("e3b0", "e3b"),
		"buildpacks[0].key: is missing":                            fetch(`"key":"k","url"`, `"key":"","url"`),
		"buildpacks[0].url: is missing":                            fetch(`"https://blobs/k"`, `""`),
		"buildpacks[1].key: is a URL with a password or a query":   fetch("https://github.com", "https://token@github.com"),
		"buildpacks[1].key: is another buildpack's too":            fetch("https://github.com/x/y#main", "k"),
		"tls.certificate: goes with key":                           fetch(`"/k"`, `""`),
		"parallel: must not be negative":                           fetch(`"parallel":2`, `"parallel":-1`),
		"limits.archiveBytes: must not be negative":                fetch(`"archiveBytes":1`, `"archiveBytes":-1`),
		"limits.unpackedBytes: must not be negative":               fetch(`"unpackedBytes":2`, `"unpackedBytes":-1`),
		"limits.entries: must not be negative":                     fetch(`"entries":3`, `"entries":-1`),
		"buildpacks: there is none":                                build(`{"name":"ruby","key":"k","skipDetect":true}`, ``),
		"home: is not an absolute path":                            build(`"/home/vcap"`, `"vcap"`),
		"memoryMiB: must not be negative":                          build(`1024`, `-1`),
		"diskMiB: must not be negative":                            build(`4096`, `-1`),
		"stack: is missing":                                        push(`"cflinuxfs4"`, `""`),
		"dropletURL: is not an http or https URL":                  push(`https://uploader/v1`, ``),
		"registry.address: is missing":                             push(`registry:5000`, ``),
		"registry.usernameFile: goes with passwordFile":            push(`"/u"`, `""`),
		"cannot unmarshal number into Go struct field PushConfig.": push(`"cflinuxfs4"`, `7`),
	} {
		g := NewWithT(t)
		g.Expect(err).To(HaveOccurred(), want)
		g.Expect(err.Error()).To(ContainSubstring(want))
		g.Expect(err.Error()).NotTo(Or(ContainSubstring("sig=x"), ContainSubstring("token")))
	}
}

func TestDefaultLimits(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Limits{}.WithDefaults()).To(Equal(Limits{ArchiveBytes: 8 << 30, UnpackedBytes: 16 << 30, Entries: 1_000_000}))
	g.Expect(Limits{1, 2, 3}.WithDefaults()).To(Equal(Limits{1, 2, 3}))
}
