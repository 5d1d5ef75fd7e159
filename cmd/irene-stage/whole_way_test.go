package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits"
	samples "github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/archive"
)

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to run a build as another user at /tmp")
	}
}

func staticBuildpack(t *testing.T) []byte {
	t.Helper()
	g := NewWithT(t)
	program := filepath.Join(t.TempDir(), "fileserver")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "../../fixtures/buildpack/fileserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	content, err := os.ReadFile(program)
	g.Expect(err).NotTo(HaveOccurred())
	pack, err := samples.Zip(samples.Static, samples.File{Name: "bin/fileserver", Content: content})
	g.Expect(err).NotTo(HaveOccurred())
	return pack
}

func TestFromSourceToDroplet(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	c := newCloud(t)
	pack := staticBuildpack(t)
	fetched := opi.Buildpack{Name: "static_buildpack", Key: "static-key", URL: c.blob("/static", pack)}
	build := steps.BuildConfig{Workspace: "/tmp", Stack: "cflinuxfs4", Buildpacks: []steps.BuildBuildpack{{Name: "static_buildpack", Key: "static-key"}}}

	app := appOf(t, map[string]string{
		"index.html": "hello from the app", `css\site.css`: "a{}", "real/x": "x",
		"data": "-> /var/vcap/data/0a1b", "abs": "-> /home/vcap/app/real/x", "up": "-> ../../etc",
	})
	var cache []byte
	for round := 1; round <= 2; round++ {
		p := c.newPod(t)
		g.Expect(p.fetch(t, app, cache, fetched).Failure).To(BeNil())
		g.Expect(p.step(t, steps.BuildStep, build).Failure).To(BeNil(), p.logs.String())
		outcome := p.push(t)
		g.Expect(outcome.Failure).To(BeNil(), p.logs.String())
		g.Expect(p.logs.String()).To(ContainSubstring(fmt.Sprintf("build %d of this app", round)))
		t.Logf("\n%s%+v", p.logs.String(), outcome)

		// What Cloud Controller has is what the registry has.
		droplet := c.taken("/v1/droplet/guid")
		g.Expect(droplet).To(HaveLen(int(outcome.Droplet.Bytes)))
		registry, err := bits.NewRegistry(bits.RegistryOptions{Address: strings.TrimPrefix(c.registry.URL, "http://"), Prefix: "irene",
			UsernameFile: filepath.Join(p.folder, "user"), PasswordFile: filepath.Join(p.folder, "password")})
		g.Expect(err).NotTo(HaveOccurred())
		stored, err := registry.Droplet(context.Background(), opi.Checksum{Algorithm: "sha1", Value: outcome.Droplet.SHA1})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(stored.Digest.String()).To(Equal(outcome.Droplet.Manifest))
		g.Expect(stored.SHA256).To(Equal(outcome.Droplet.SHA256))
		g.Expect(stored.Stack).To(Equal("cflinuxfs4"))
		g.Expect(stored.Result.Digest.String()).To(Equal(outcome.Droplet.Result))
		text, err := registry.Result(context.Background(), stored.Result.Digest)
		g.Expect(err).NotTo(HaveOccurred())
		result, err := steps.ParseResult(text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(result.ProcessTypes).To(Equal(map[string]string{"web": "fileserver ."}))
		g.Expect(result.LifecycleMetadata.Buildpacks).To(Equal([]steps.ResultBuildpack{{Key: "static-key", Name: "static", Version: "1.0.0"}}))

		g.Expect(answerOf(t, droplet, result.ProcessTypes["web"])).To(Equal("hello from the app"))
		cache = c.taken("/v1/build_artifacts/guid")

		home := t.TempDir()
		_, err = archive.Unpack(context.Background(), bytes.NewReader(droplet), int64(len(droplet)), home, archive.Rules{Bytes: 1 << 30, Entries: 1000})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(filepath.Join(home, "app/css/site.css")).To(BeARegularFile())
		for name, target := range map[string]string{"data": "/var/vcap/data/0a1b", "abs": "/home/vcap/app/real/x", "up": "../../etc"} {
			g.Expect(os.Readlink(filepath.Join(home, "app", name))).To(Equal(target))
		}
	}
}

// answerOf unpacks a droplet, starts the app and asks it.
func answerOf(t *testing.T, droplet []byte, command string) string {
	t.Helper()
	g := NewWithT(t)
	home := t.TempDir()
	_, err := archive.Unpack(context.Background(), bytes.NewReader(droplet), int64(len(droplet)), home, archive.Rules{Bytes: 1 << 30, Entries: 1000})
	g.Expect(err).NotTo(HaveOccurred())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	_, port, err := net.SplitHostPort(listener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(listener.Close()).To(Succeed())
	app := exec.Command("sh", "-c", `for script in ../profile.d/*; do . "$script"; done; exec `+command)
	app.Dir = filepath.Join(home, "app")
	app.Env = append(os.Environ(), "DEPS_DIR="+filepath.Join(home, "deps"), "PORT="+port)
	g.Expect(app.Start()).To(Succeed())
	defer func() {
		_ = app.Process.Kill()
		_ = app.Wait()
	}()
	var answer string
	g.Eventually(func() error {
		response, err := http.Get("http://127.0.0.1:" + port + "/")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		answer = string(body)
		return err
	}, 20*time.Second).Should(Succeed())
	return answer
}

// unfindable quotes a text for a shell so that a search for it does not find the script.
func unfindable(text string) string { return "'" + text[:4] + "''" + text[4:] + "'" }

// A hostile buildpack looks everywhere and leaves traps.
func TestUserCodeFindsNoKey(t *testing.T) {
	needsRoot(t)
	g := NewWithT(t)
	c := newCloud(t)
	look := `#!/bin/sh
		exec 2>&1
		id -u; id -g
		env
		cat /proc/*/environ /proc/*/cmdline | tr '\0' '\n'
		ls -l /proc/*/fd
		cat /var/run/secrets/kubernetes.io/serviceaccount/token
		find / -xdev \( -path /proc -o -path /sys -o -path /usr -o -path /root \) -prune -o -type f -size -200k -newer /proc/1/stat -print
		grep -rsl -e ` + unfindable(registryPassword) + ` -e ` + unfindable(blobSignature) + ` -e ` + unfindable("EC PRIVATE KEY") + ` /tmp /var/tmp /home /run && echo FOUND A KEY
		rm -rf "$1/../out"; mkdir "$1/../out"
		ln -s ` + filepath.Join(c.folder, "password") + ` "$1/../out/droplet.tgz"
		ln -s /etc/shadow "$1/../out/result.json"
		ln -s ` + c.folder + ` "$1/keys"
		echo '{"step":"build"}' >/dev/termination-log
		true
	`
	hostile := appOf(t, map[string]string{"bin/compile": look, "bin/release": "#!/bin/sh\necho '{}'\n"})
	p := c.newPod(t)
	g.Expect(p.fetch(t, appOf(t, map[string]string{"f": "x"}), nil, opi.Buildpack{Name: "hostile", Key: "hostile", URL: c.blob("/hostile", hostile)}).Failure).To(BeNil())
	build := p.step(t, steps.BuildStep, steps.BuildConfig{Workspace: "/tmp", Buildpacks: []steps.BuildBuildpack{{Name: "hostile", Key: "hostile", SkipDetect: true}}})
	g.Expect(build.Failure).To(BeNil(), p.logs.String())
	found := p.build.String()
	t.Logf("a hostile buildpack finds:\n%s", found)
	g.Expect(found).To(HavePrefix("2000\n2000\n"))
	for _, secret := range []string{registryPassword, blobSignature, "FOUND A KEY", "PRIVATE KEY"} {
		g.Expect(found).NotTo(ContainSubstring(secret))
	}
	outcome := p.push(t)
	g.Expect(outcome.Failure).To(BeNil(), p.logs.String())
	droplet := c.taken("/v1/droplet/guid")
	home := t.TempDir()
	_, err := archive.Unpack(context.Background(), bytes.NewReader(droplet), int64(len(droplet)), home, archive.Rules{Bytes: 1 << 30, Entries: 1000})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.Readlink(filepath.Join(home, "app/keys"))).To(Equal(c.folder), "a link stays one")
}
