package registry

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
)

func TestOptionsAreChecked(t *testing.T) {
	g := NewWithT(t)
	_, err := New(Options{
		Users:        []User{{Name: "a:b", PasswordFile: "x"}, {Name: "a"}, {Name: "b", PasswordFile: "x"}, {Name: "b", PasswordFile: "x"}},
		Anonymous:    true,
		MinFreeBytes: -1,
		MinAge:       time.Minute,
		UploadIdle:   time.Second,
		CollectEvery: -1,
		Unused:       []Unused{{Repositories: "[", After: time.Hour}},
	})
	g.Expect(err).To(MatchError(`Directory: is required
Anonymous: is set although there are Users; choose one
Users[0].Name: "a:b" has a colon, which ends a name in a request
Users[1].PasswordFile: is required
Users[3].Name: "b" is there twice
MinFreeBytes: -1 must not be negative
MinAge: 1m0s must be at least 1h0m0s: what clients are about to refer to would be removed
UploadIdle: 1s must be at least 5m0s
CollectEvery: -1ns must not be negative
Unused[0].Repositories: "[" is not a pattern
Logger: is required`))
	_, err = New(Options{Directory: "x"})
	g.Expect(err).To(MatchError(ContainSubstring("Users: is required, unless Anonymous is set")))
}

func usable(directory string) Options {
	return Options{Directory: directory, Anonymous: true, MinAge: DefaultMinAge, UploadIdle: DefaultUploadIdle, Logger: lager.NewLogger("test")}
}

func TestUnusableFilesAreNamed(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	options := usable(filepath.Join(folder, "content"))
	options.Anonymous = false
	options.Users = []User{
		{Name: "a", PasswordFile: filepath.Join(folder, "missing")},
		{Name: "b", PasswordFile: writeFile(t, filepath.Join(folder, "empty"), "\n")},
	}
	_, err := New(options)
	g.Expect(err).To(MatchError(And(ContainSubstring("Users[0].PasswordFile: open "), ContainSubstring("Users[1].PasswordFile: "+folder+"/empty holds no value"))))
	g.Expect(filepath.Join(folder, "content")).NotTo(BeADirectory())

	_, err = New(usable(filepath.Join(folder, "empty")))
	g.Expect(err).To(MatchError(ContainSubstring("open the registry's directory " + folder + "/empty: ")))
}

func TestOneRegistryPerDirectory(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	_, err := New(usable(s.directory))
	g.Expect(err).To(MatchError(ContainSubstring("another registry uses it, process ")))
	s.stop()
	second, err := New(usable(s.directory))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(second.Close()).To(Succeed())
}

func TestCheckNoticesALostDirectory(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	g.Expect(s.Check()).To(Succeed())
	g.Expect(os.Rename(s.directory, s.directory+"-away")).To(Succeed())
	g.Expect(s.Check()).To(MatchError(ContainSubstring("no such file")))
	other, err := New(usable(s.directory))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Check()).To(MatchError(ContainSubstring("is not the one that was opened")))
	g.Expect(other.Close()).To(Succeed())
}

func TestMetricsEndWithTheRegistry(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	g.Expect(s.metric("irene_registry_free_bytes")).To(BeEquivalentTo(1 << 40))
	g.Expect(s.metric("irene_registry_min_free_bytes")).To(BeEquivalentTo(1 << 30))
	s.stop()
	g.Expect(s.metrics.Gather()).To(BeEmpty())
}

func TestTheLibrarysLogs(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	s.expectMissing(s.tag("cloudfoundry/app", "for-the-log"))
	g.Expect(libraryLog.Contents()).To(And(
		MatchRegexp(`"message":"test.registry-library.message","log_level":0,.*manifest unknown.*for-the-log`),
		Not(ContainSubstring("Authorization"))))
}

func TestRequestsInTheLog(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	s.push("cloudfoundry/app", "logged", randomImage(t, 1))
	g.Eventually(s.log).Should(gbytes.Say(`"log_level":1,"data":{"method":"PUT","path":"/v2/cloudfoundry/app/manifests/logged".*"status":201,"user":"irene"`))
	g.Expect(s.log.Contents()).NotTo(Or(ContainSubstring("_state"), ContainSubstring(pushPassword)))
}
