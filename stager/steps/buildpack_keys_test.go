package steps

import (
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func TestKeys(t *testing.T) {
	g := NewWithT(t)
	g.Expect(BuildpackPath("my-buildpack/key/::")).To(Equal("buildpacks/8b2f72a0702aed614f8b5d8f7f5b431b"))
	for key, want := range map[string]string{
		"0c9bd1ad-guid_abcdef":                        "0c9bd1ad-guid_abcdef",
		"https://github.com/x/y#v1":                   "https://github.com/x/y#v1",
		"https://user:pa%2Fss@host:8443/x.zip?sig=a#": "https://host:8443/x.zip",
		"https://token@host/x?":                       "https://host/x",
		"https://user:pa/ss@ho st/x?sig=a":            "https://ho st/x",
		"https://user:hunter2@host:80x/y":             "https://host:80x/y",
		"git@github.com:x/y.git":                      "git@github.com:x/y.git",
	} {
		g.Expect(PublicKey(key)).To(Equal(want))
		g.Expect(PublicKey(want)).To(Equal(want))
	}
	g.Expect(IsCustom(opi.Buildpack{Key: "https://host/x", URL: "https://u:p@host/x?sig=a"})).To(BeTrue())
	g.Expect(IsCustom(opi.Buildpack{Key: "https://u:p@host/x", URL: "https://u:p@host/x"})).To(BeTrue())
	g.Expect(IsCustom(opi.Buildpack{Key: "guid", URL: "https://blobs/guid?sig=a"})).To(BeFalse())
	g.Expect(IsCustom(opi.Buildpack{Key: "https://host/x;2", URL: "https://u:p@host/x?sig=b"})).To(BeTrue(), "a changed key never leads to trust")
}

func customs(urls ...string) []opi.Buildpack {
	var buildpacks []opi.Buildpack
	for _, url := range urls {
		buildpacks = append(buildpacks, opi.Buildpack{Name: "custom", Key: url, URL: url, SkipDetect: true})
	}
	return buildpacks
}

func TestStepKeysTellBuildpacksApart(t *testing.T) {
	for name, c := range map[string]struct {
		given []string
		want  []StepKey
	}{
		"nothing removed":        {[]string{"ruby-guid_abc", "https://host/x.zip", "git@host:x.git"}, []StepKey{{"ruby-guid_abc", true}, {"https://host/x.zip", true}, {"git@host:x.git", true}}},
		"query":                  {[]string{"http://host/archive.zip?path=a.zip", "http://host/archive.zip?path=b.zip"}, []StepKey{{"http://host/archive.zip", false}, {"http://host/archive.zip;2", false}}},
		"query or none":          {[]string{"http://host/x?a", "http://host/x"}, []StepKey{{"http://host/x;2", false}, {"http://host/x", true}}},
		"the same twice":         {[]string{"http://host/x?a", "http://host/x?b", "http://host/x?a"}, []StepKey{{"http://host/x", false}, {"http://host/x;2", false}, {"http://host/x", false}}},
		"one with a token":       {[]string{"https://token@host/x#v1"}, []StepKey{{"https://host/x#v1", true}}},
		"two users":              {[]string{"https://a:p@host/x", "https://b:p@host/x"}, []StepKey{{"https://host/x", true}, {"https://host/x;2", false}}},
		"a name that is taken":   {[]string{"http://host/x?a", "http://host/x?b", "http://host/x;2"}, []StepKey{{"http://host/x", false}, {"http://host/x;3", false}, {"http://host/x;2", true}}},
		"fragments":              {[]string{"https://host/x?a#v1", "https://host/x?a#v2", "https://host/x?b#v1"}, []StepKey{{"https://host/x#v1", false}, {"https://host/x#v2", false}, {"https://host/x#v1;2", false}}},
		"what can't be a URL":    {[]string{"https://u:p@ho st/x?a", "https://u:p@ho st/x?b"}, []StepKey{{"https://ho st/x", false}, {"https://ho st/x;2", false}}},
		"other ways to write it": {[]string{"https://host/a b", "https://host/a%20b"}, []StepKey{{"https://host/a%20b;2", false}, {"https://host/a%20b", true}}},
		"an empty query":         {[]string{"https://host/x?", "https://host/x"}, []StepKey{{"https://host/x;2", false}, {"https://host/x", true}}},
		"nothing":                {nil, []StepKey{}},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(StepKeys(customs(c.given...))).To(Equal(c.want))
		})
	}
}

// Whatever users give: a step's key stands for one buildpack, shows no secret, is one
// that the configurations take, and leads to no more trust.
func FuzzStepKeys(f *testing.F) {
	f.Add("https://user:pa%2Fss@host/x.zip?sig=a#", "https://host/x.zip?sig=b", "https://host/x.zip;2")
	f.Add("https://u:p@ho st/x?a", "https://ho st/x", "https://ho st/x;2")
	f.Add("http://host:80?x", "http://host:80", "http://[::1]#?@")
	f.Add("A://u@", "A://", "a://;2")
	f.Add("//0?://", "?://", "host/x?token=://")
	f.Add("//u:p@h/x?a=://", "://", "u:p@host?x=://")
	f.Add("git@host:x/y.git?a", "guid_sha", "x://?#@")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		buildpacks := customs(a, b, c, a)
		keys := StepKeys(buildpacks)
		for i, key := range keys {
			for j := range keys {
				if (key.Public == keys[j].Public) != (buildpacks[i].Key == buildpacks[j].Key) {
					t.Fatalf("%q and %q have the keys %q and %q", buildpacks[i].Key, buildpacks[j].Key, key.Public, keys[j].Public)
				}
			}
			if PublicKey(key.Public) != key.Public {
				t.Fatalf("%q of %q is not public", key.Public, buildpacks[i].Key)
			}
			if parsed, err := url.Parse(key.Public); err == nil && strings.Contains(key.Public, "://") && (parsed.RawQuery != "" || parsed.User != nil) {
				t.Fatalf("%q of %q has a query or a user", key.Public, buildpacks[i].Key)
			}
			if !IsCustom(opi.Buildpack{Key: key.Public, URL: buildpacks[i].URL}) && key.Public != buildpacks[i].Key {
				t.Fatalf("%q of %q is trusted", key.Public, buildpacks[i].Key)
			}
		}
	})
}
