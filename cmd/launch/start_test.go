package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet/staginginfo"
)

func TestProfileScriptsComeInOrderAndTheirExportsReachTheApp(t *testing.T) {
	for _, shells := range []string{"/bin/bash:/bin/sh", "/bin/sh"} {
		t.Run(shells, func(t *testing.T) {
			g := NewWithT(t)
			d := newDroplet(t).
				file(t, "profile.d/10_b.sh", `export TRAIL="$TRAIL b"`).
				file(t, "profile.d/00_a.sh", `export TRAIL="a in $PWD"; unexported=1`).
				file(t, "profile.d/.hidden.sh", `export TRAIL="$TRAIL hidden"`).
				file(t, "profile.d/folder.sh/x.sh", `export TRAIL="$TRAIL folder"`).
				file(t, "app/.profile.d/20 it's.sh", `export TRAIL="$TRAIL d"; set -- shifted; set -f; IFS=x`).
				file(t, "app/.profile.d/10_c.sh", `export TRAIL="$TRAIL c"`).
				file(t, "app/.profile.d/30-no-suffix", `export TRAIL="$TRAIL e"`).
				file(t, "app/.profile", `export TRAIL="$TRAIL f $unexported"; mkdir -p sub; cd sub`).
				with("START_COMMAND", `echo "$TRAIL [$unexported] $#"; echo "in $PWD"`)
			d.shells = shells
			r := d.run(t)
			app := filepath.Join(d.home, "app")
			g.Expect(r.stdout.String()).To(Equal("a in " + app + " b c d e f 1 [] 0\nin " + app + "/sub\n"))
			g.Expect(r.stderr.String()).To(BeEmpty())
			g.Expect(r.status).To(Equal(0))
		})
	}
}

func TestStartCommandIsLeftToTheShell(t *testing.T) {
	for command, want := range map[string]string{
		`echo "$PORT" '$PORT' $PORT`:                "8080 $PORT 8080\n",
		`echo '$$' '$(PORT)' '$$(PORT)'`:            "$$ $(PORT) $$(PORT)\n",
		`echo $(echo $PORT)`:                        "8080\n",
		"echo it\\'s \"a 'b'\" 'c \"d\"'":           "it's a 'b' c \"d\"\n",
		"echo one\necho two":                        "one\ntwo\n",
		"cd / && pwd # a comment":                   "/\n",
		"echo 'ünï ☃ 😀' \\\\ \\$":                   "ünï ☃ 😀 \\ $\n",
		"  echo blanks  ":                           "blanks\n",
		"for i in 1 2; do printf %s $i; done; echo": "12\n",
	} {
		t.Run(command, func(t *testing.T) {
			g := NewWithT(t)
			r := newDroplet(t).with("START_COMMAND", command).with("PORT", "8080").run(t)
			g.Expect(r.stdout.String()).To(Equal(want))
			g.Expect(r.stderr.String()).To(BeEmpty())
		})
	}
}

func TestWhereTheStartCommandComesFrom(t *testing.T) {
	for name, c := range map[string]struct {
		env    string
		args   []string
		info   string
		stdout string
		status int
		stderr string
	}{
		"environment first":                 {env: "echo env", args: []string{"echo arg"}, info: `{"start_command":"echo info"}`, stdout: "env\n"},
		"argument next":                     {args: []string{"echo arg"}, info: `{"start_command":"echo info"}`, stdout: "arg\n"},
		"arguments in Cloud Foundry's form": {args: []string{"app", "echo arg", "{}"}, stdout: "arg\n"},
		"Cloud Foundry's form, no command":  {args: []string{"app", "", "{}"}, info: `{"start_command":"echo info"}`, stdout: "info\n"},
		"Cloud Foundry's form, alone":       {args: []string{"app"}, info: `{"start_command":"echo info"}`, stdout: "info\n"},
		"blank is none":                     {env: " \n", args: []string{" "}, info: `{"start_command":"echo info"}`, stdout: "info\n"},
		"staging_info.yml as JSON":          {info: `{"detected_buildpack":"ruby","start_command":"echo \ud83d\ude00 <&>"}`, status: 2, stderr: "syntax error"},
		"staging_info.yml, surrogates":      {info: `{"detected_buildpack":"ruby","start_command":"echo '\ud83d\ude00'"}`, stdout: "😀\n"},
		"staging_info.yml as YAML":          {info: "---\ndetected_buildpack: ruby\nstart_command: \"echo 'a: b'\"\n", stdout: "a: b\n"},
		"staging_info.yml, YAML block":      {info: "start_command: |\n  echo a\n  echo b\n", stdout: "a\nb\n"},
		"a buildpack's entrypoint":          {info: "start_command: echo a\nconfig:\n  entrypoint_prefix: |\n    env WHO=me bash -c\n", stdout: "a\n"},
		"entrypoint for another's command":  {env: "echo $WHO", info: "config: {entrypoint_prefix: env WHO=me bash -c}", stdout: "me\n"},
		"bad staging_info.yml not needed":   {env: "echo env", info: "}{", stdout: "env\n", stderr: "launch: read the droplet's start command from "},
		"bad staging_info.yml":              {info: "}{", status: 78, stderr: "staging_info.yml: "},
		"start_command is a list":           {info: `{"start_command":["a"]}`, status: 78, stderr: "start_command"},
		"start_command is null":             {info: `{"start_command":null}`, status: 78, stderr: "launch: no start command: START_COMMAND is empty"},
		"NUL in the start command":          {info: `{"start_command":"a\u0000b"}`, status: 78, stderr: "NUL byte"},
		"too large staging_info.yml":        {info: strings.Repeat(" ", staginginfo.MaxBytes+1), status: 78, stderr: "larger than 1048576 bytes"},
		"nothing":                           {status: 78, stderr: "launch: no start command: START_COMMAND is empty"},
		"a command in pieces":               {args: []string{"bundle", "exec"}, status: 64, stderr: "launch: 2 arguments: want one start command"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := newDroplet(t).with("START_COMMAND", c.env)
			d.args = c.args
			if c.info != "" {
				d.file(t, "staging_info.yml", c.info)
			}
			r := d.run(t)
			g.Expect(r.stdout.String()).To(Equal(c.stdout))
			g.Expect(r.status).To(Equal(c.status), r.stderr.String())
			if c.stderr == "" {
				g.Expect(r.stderr.String()).To(BeEmpty())
			}
			g.Expect(r.stderr.String()).To(ContainSubstring(c.stderr))
		})
	}
}

func TestEnvironmentOfTheApp(t *testing.T) {
	g := NewWithT(t)
	d := newDroplet(t).with("START_COMMAND", "env -0")
	env := variables(d.run(t))
	g.Expect(env).To(HaveKeyWithValue("HOME", filepath.Join(d.home, "app")))
	g.Expect(env).To(HaveKeyWithValue("TMPDIR", filepath.Join(d.home, "tmp")))
	g.Expect(env).To(HaveKeyWithValue("DEPS_DIR", filepath.Join(d.home, "deps")))
	g.Expect(env).To(HaveKeyWithValue("USER", "vcap"))
	g.Expect(env).To(HaveKeyWithValue("PATH", "/usr/local/bin:/usr/bin:/bin"))
	g.Expect(env).NotTo(HaveKey("VCAP_APPLICATION"))

	d.with("HOME", "/home/other").with("TMPDIR", "/scratch").with("USER", "me").
		with("ODD", "a\nb=$HOME 'q' \"\\ ☃").with("BASH_FUNC_f%%", "() { :; }").with("with-dash", "1")
	env = variables(d.run(t))
	g.Expect(env).To(HaveKeyWithValue("HOME", "/home/other"))
	g.Expect(env).To(HaveKeyWithValue("TMPDIR", "/scratch"))
	g.Expect(env).To(HaveKeyWithValue("USER", "me"))
	g.Expect(env).To(HaveKeyWithValue("ODD", "a\nb=$HOME 'q' \"\\ ☃"))
	g.Expect(env).To(HaveKey("BASH_FUNC_f%%"))
	g.Expect(env).To(HaveKeyWithValue("with-dash", "1"))
}

func TestVCAPApplicationOfTheApp(t *testing.T) {
	g := NewWithT(t)
	d := newDroplet(t).with("START_COMMAND", "env -0").with("PORT", "8080").
		with("CF_INSTANCE_GUID", "8b9c").with("CF_INSTANCE_INDEX", "3").
		with("VCAP_APPLICATION", `{"name":"dörä","big":12345678901234567890}`)
	r := d.run(t)
	g.Expect(variables(r)["VCAP_APPLICATION"]).To(Equal(
		`{"name":"dörä","big":12345678901234567890,"instance_id":"8b9c","instance_index":3,"host":"0.0.0.0","port":8080}`))
	g.Expect(r.stderr.String()).To(BeEmpty())

	d = newDroplet(t).with("START_COMMAND", "env -0").with("VCAP_APPLICATION", `{"secret":`)
	r = d.run(t)
	g.Expect(variables(r)["VCAP_APPLICATION"]).To(Equal(`{"secret":`))
	g.Expect(r.stderr.String()).To(Equal("launch: VCAP_APPLICATION stays as it was: it is not JSON: unexpected end of JSON input\n"))
	g.Expect(r.status).To(Equal(0))
}

func TestLargeValues(t *testing.T) {
	largest := func(name string) string { return strings.Repeat("v", maxArgument-1-len(name+"=")) }
	t.Run("one of the kernel's limit", func(t *testing.T) {
		g := NewWithT(t)
		r := newDroplet(t).with("START_COMMAND", "echo ${#BIG}").with("BIG", largest("BIG")).run(t)
		g.Expect(r.stdout.String()).To(Equal(fmt.Sprintln(maxArgument - 5)))
	})
	t.Run("the merge exceeds it", func(t *testing.T) {
		g := NewWithT(t)
		vcap, err := json.Marshal(map[string]string{"a": strings.Repeat("v", maxArgument-30)})
		g.Expect(err).NotTo(HaveOccurred())
		r := newDroplet(t).with("START_COMMAND", "true").with("VCAP_APPLICATION", string(vcap)).run(t)
		g.Expect(r.status).To(Equal(71))
		g.Expect(r.stderr.String()).To(MatchRegexp(`^launch: environment variable VCAP_APPLICATION is too large: \d+ bytes with its name, the kernel takes 131071\n$`))
	})
	t.Run("the start command exceeds it", func(t *testing.T) {
		g := NewWithT(t)
		r := newDroplet(t).with("START_COMMAND", ": "+strings.Repeat("'", 100_000)).run(t)
		g.Expect(r.status).To(Equal(71))
		g.Expect(r.stderr.String()).To(MatchRegexp(`^launch: the start command is too large: \d+ bytes`))
	})
	t.Run("all together exceed the kernel's limit", func(t *testing.T) {
		g := NewWithT(t)
		p := process{path: "/bin/true", args: []string{"true"}, dir: "/"}
		for i := range 60 {
			p.env = append(p.env, fmt.Sprintf("V%02d=%s", i, largest("V00")))
		}
		_, err := p.start(1, 2)
		g.Expect(err).To(MatchError(ContainSubstring("together are too large for the kernel: 78")))
	})
}

func TestFileDescriptorLimit(t *testing.T) {
	g := NewWithT(t)
	limits := func(d *droplet) *running { return d.with("START_COMMAND", "ulimit -Sn; ulimit -Hn").run(t) }
	var own syscall.Rlimit
	g.Expect(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own)).To(Succeed())

	r := limits(newDroplet(t).with("VCAP_APPLICATION", `{"limits":{"fds":1234}}`))
	g.Expect(r.stdout.String()).To(Equal(fmt.Sprintf("1234\n%d\n", own.Max)))
	g.Expect(r.stderr.String()).To(BeEmpty())

	r = limits(newDroplet(t).with("VCAP_APPLICATION", `{"limits":{"fds":99999999999}}`))
	g.Expect(r.stdout.String()).To(Equal(fmt.Sprintf("%d\n%d\n", own.Max, own.Max)))
	g.Expect(r.stderr.String()).To(Equal(fmt.Sprintf(
		"launch: file descriptor limit is %d: VCAP_APPLICATION limits.fds is 99999999999, the container's hard limit is lower\n", own.Max)))

	untouched := limits(newDroplet(t)).stdout.String()
	for vcap, message := range map[string]string{
		`{}`:                        "",
		`{"limits":{}}`:             "",
		`{"limits":{"fds":0}}`:      "",
		`{"limits":{"fds":null}}`:   "",
		`{"limits":null}`:           "",
		`{"limits":7}`:              "VCAP_APPLICATION limits is not an object",
		`{"limits":{"fds":-1}}`:     "limits.fds is not a whole number",
		`{"limits":{"fds":"many"}}`: "limits.fds is not a whole number",
	} {
		r := limits(newDroplet(t).with("VCAP_APPLICATION", vcap))
		g.Expect(r.stdout.String()).To(Equal(untouched), vcap)
		if message == "" {
			g.Expect(r.stderr.String()).To(BeEmpty(), vcap)
		} else {
			g.Expect(r.stderr.String()).To(HavePrefix("launch: file descriptor limit stays as it was: "), vcap)
			g.Expect(r.stderr.String()).To(HaveSuffix(message+"\n"), vcap)
		}
		g.Expect(r.status).To(Equal(0))
	}
}

func TestImagesThatCannotRunTheApp(t *testing.T) {
	g := NewWithT(t)
	d := newDroplet(t).with("START_COMMAND", "true")
	d.shells = "/no/bash:/no/sh"
	r := d.run(t)
	g.Expect(r.status).To(Equal(69))
	g.Expect(r.stderr.String()).To(Equal("launch: the image has no shell that can run the app: looked for /no/bash and /no/sh\n"))

	d = newDroplet(t).with("START_COMMAND", "echo $0")
	d.shells = "/no/bash:/bin/sh"
	g.Expect(d.run(t).stdout.String()).To(Equal("/bin/sh\n"))

	d = newDroplet(t).with("START_COMMAND", "true")
	g.Expect(os.Remove(filepath.Join(d.home, "app"))).To(Succeed())
	r = d.run(t)
	g.Expect(r.status).To(Equal(78))
	g.Expect(r.stderr.String()).To(HavePrefix("launch: find the app directory: "))

	d = newDroplet(t).with("START_COMMAND", "true").file(t, "profile.d", "not a folder")
	r = d.run(t)
	g.Expect(r.status).To(Equal(0))
	g.Expect(r.stderr.String()).To(HavePrefix("launch: profile scripts are not sourced: "))

	d = newDroplet(t).with("START_COMMAND", "true").file(t, "profile.d/a.sh", "export A=a\r\n").file(t, "app/.profile", "export B=b\n")
	r = d.run(t)
	g.Expect(r.status).To(Equal(0))
	g.Expect(r.stderr.String()).To(MatchRegexp(`^launch: the lines of /\S+/profile.d/a.sh end with CRLF, as on Windows, .*\n$`))
}

// variables reads what "env -0" wrote.
func variables(r *running) map[string]string {
	env := map[string]string{}
	for _, entry := range strings.Split(r.stdout.String(), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}
