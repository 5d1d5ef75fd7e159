package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps"
)

// environmentOf is what a script finds in its environment.
func environmentOf(t *testing.T, w *workspace) map[string]string {
	t.Helper()
	w.use(t, "env", map[string]string{"compile": "env; echo PWD_IS=$PWD; [ ! -t 0 ] && cat", "release": "echo '{}'"}).built(t)
	found := map[string]string{}
	for line := range strings.Lines(w.stdout) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			found[name] = value
		}
	}
	return found
}

func TestEnvironment(t *testing.T) {
	g := NewWithT(t)
	t.Setenv(steps.ConfigVariable, `{"workspace":"/tmp"}`)
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	t.Setenv("MEMORY_LIMIT", "1024m")
	t.Setenv("CF_STACK", "of the request")
	t.Setenv("ODD", "a=b 'c' $(d)")
	w := newWorkspace(t)
	file := filepath.Join(t.TempDir(), "environment.json")
	g.Expect(os.WriteFile(file, []byte(`{"MEMORY_LIMIT":"2048m","VCAP_SERVICES":"{\"pg\":[{\"credentials\":{\"uri\":\"postgresql://u:p@h/d\"}}]}"}`), 0o644)).To(Succeed())
	w.config.EnvironmentFile, w.config.Home = file, t.TempDir()
	found := environmentOf(t, w)
	g.Expect(found).To(HaveKeyWithValue("CF_STACK", "cflinuxfs4"))
	g.Expect(found).To(HaveKeyWithValue("BUILDPACKS_DIR", w.path(steps.BuildpacksFolder)))
	g.Expect(found).To(HaveKeyWithValue("HOME", w.config.Home))
	g.Expect(found).To(HaveKeyWithValue("PWD_IS", w.config.Home))
	g.Expect(found).To(HaveKeyWithValue("MEMORY_LIMIT", "2048m"))
	g.Expect(found).To(HaveKeyWithValue("ODD", "a=b 'c' $(d)"))
	g.Expect(found).To(HaveKeyWithValue("DATABASE_URL", "postgres://u:p@h/d"))
	g.Expect(found).NotTo(HaveKey(steps.ConfigVariable))
	g.Expect(found).NotTo(HaveKey("KUBERNETES_SERVICE_HOST"))
}

func TestHomeIsWritable(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t)
	w.config.Home, w.config.Stack = "/proc/sys", ""
	t.Setenv("CF_STACK", "of the request")
	found := environmentOf(t, w)
	g.Expect(found).To(HaveKeyWithValue("HOME", Or(Equal(w.path(steps.HomeFolder)), Equal("/proc/sys"))), "root may write anywhere")
	g.Expect(found).To(HaveKeyWithValue("CF_STACK", "of the request"))

	w = newWorkspace(t)
	w.config.Home = filepath.Join(t.TempDir(), "nothing")
	g.Expect(environmentOf(t, w)).To(HaveKeyWithValue("HOME", w.path(steps.HomeFolder)))
}

func TestEnvironmentFilesAreNotQuoted(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "environment.json")
	g.Expect(os.WriteFile(file, []byte(`{"PASSWORD":["hunter2"]}`), 0o644)).To(Succeed())
	w := newWorkspace(t).use(t, "a", nil)
	w.config.EnvironmentFile = file
	g.Expect(w.run(t)).To(MatchError("the app's environment is not a JSON object of strings"))
}

func TestDatabaseURL(t *testing.T) {
	g := NewWithT(t)
	for services, want := range map[string]string{
		``:     "",
		`{}`:   "",
		`[]`:   "",
		`{"a"`: "",
		`{"mq":[{"credentials":{"uri":"amqp://x"}}],"my":[{"credentials":{}},{"credentials":{"uri":"mysql://u:p%40@h:3306/d?x=y"}}],"pg":[{"credentials":{"uri":"postgres://later"}}]}`: "mysql2://u:p%40@h:3306/d?x=y",
		`{"odd":[{"credentials":"text"}],"odder":{"a":1},"number":[{"credentials":{"uri":7}}],"pg":[{"credentials":{"uri":"postgres://h/d"}}]}`:                                         "postgres://h/d",
		`{"a":[{"credentials":{"uri":"http://x"}},{"credentials":{"uri":"%zz"}}]}`:                                                                                                      "",
	} {
		g.Expect(databaseURL(services)).To(Equal(want), services)
	}
}
