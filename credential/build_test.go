package credential

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

var someBuild = Build{GUID: "a0b1c2d3-0000-4000-8000-000000000001", Repository: "cloudfoundry/droplets", Expires: time.Unix(1_900_000_000, 0)}

func TestABuildsNameDescribesItsScope(t *testing.T) {
	g := NewWithT(t)
	name, err := someBuild.Username()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(name).To(Equal("irene-build/1/1900000000/a0b1c2d3-0000-4000-8000-000000000001/cloudfoundry/droplets"))
	g.Expect(ParseBuild(name)).To(Equal(someBuild))

	longest := Build{GUID: strings.Repeat("g", 63), Repository: strings.Repeat("r", 255), Expires: time.Unix(1<<40, 0)}
	name, err = longest.Username()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ParseBuild(name)).To(Equal(longest))
}

func TestScopesThatHaveNoName(t *testing.T) {
	for what, b := range map[string]Build{
		"no guid":               {Repository: "r", Expires: time.Unix(1, 0)},
		"a slash in the guid":   {GUID: "a/b", Repository: "r", Expires: time.Unix(1, 0)},
		"a colon in the guid":   {GUID: "a:b", Repository: "r", Expires: time.Unix(1, 0)},
		"no repository":         {GUID: "a", Expires: time.Unix(1, 0)},
		"no end":                {GUID: "a", Repository: "r"},
		"upper case":            {GUID: "a", Repository: "R", Expires: time.Unix(1, 0)},
		"a folder above":        {GUID: "a", Repository: "r/../s", Expires: time.Unix(1, 0)},
		"an empty folder":       {GUID: "a", Repository: "r//s", Expires: time.Unix(1, 0)},
		"a repository too long": {GUID: "a", Repository: strings.Repeat("r", 400), Expires: time.Unix(1, 0)},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := b.Username()
			NewWithT(t).Expect(err).To(MatchError(ErrNoBuild))
		})
	}
}

func TestPasswordsOfBuilds(t *testing.T) {
	g := NewWithT(t)
	name, err := someBuild.Username()
	g.Expect(err).NotTo(HaveOccurred())
	key, err := NewBuildKey("irene", "hunter2")
	g.Expect(err).NotTo(HaveOccurred())
	password := key.Password(name)
	g.Expect(password).To(HaveLen(64))
	g.Expect(key.Matches(name, password)).To(BeTrue())
	g.Expect(key.Matches(name+"x", password)).To(BeFalse())
	g.Expect(key.Matches(name, password[1:])).To(BeFalse())
	g.Expect(key.Matches(name, "")).To(BeFalse())
	for _, other := range [][2]string{{"irene", "hunter3"}, {"nodes", "hunter2"}} {
		key, err := NewBuildKey(other[0], other[1])
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(key.Matches(name, password)).To(BeFalse())
	}
}

func FuzzParseBuild(f *testing.F) {
	name, err := someBuild.Username()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		name, "irene", "irene-build/1/", "irene-build/1/1/g/r", "irene-build/1/01/g/r", "irene-build/1/+1/g/r", "irene-build/1/-1/g/r",
		"irene-build/2/1/g/r", "irene-build/1/1/g/r/", "irene-build/1/1/g/r/../s", "irene-build/1/1/g/R", "irene-build/1/1/g/r\n", "irene-build/1/1//r",
		"irene-build/1/99999999999999999999/g/r",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		build, err := ParseBuild(text)
		if err != nil {
			return
		}
		again, err := build.Username()
		if err != nil || again != text {
			t.Fatalf("%q is the scope %+v, with the name %q, %v", text, build, again, err)
		}
		if strings.Contains(text, ":") || strings.Contains(build.Repository, "..") {
			t.Fatalf("%q has what no name and no repository has", text)
		}
	})
}
