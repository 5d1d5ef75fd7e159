package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
)

func TestRegistryServesImagesToItsUsers(t *testing.T) {
	g := NewWithT(t)
	folder := newRegistryFolder(t)
	config := folder.config("")
	r := folder.serve(config)
	pusher, puller := as("irene", folder.pushSecret), as("kubelet", folder.pullSecret)

	_, err := r.push("cloudfoundry/app:one", pusher)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.pull("cloudfoundry/app:one", puller)).To(Succeed())
	_, err = r.push("cloudfoundry/app:two", puller)
	g.Expect(err).To(MatchError(ContainSubstring("DENIED: this user may only read")))
	g.Expect(r.pull("cloudfoundry/app:one", as("kubelet", "guess"))).To(MatchError(And(ContainSubstring("UNAUTHORIZED"), ContainSubstring("another password"))))
	status, _, err := get(http.DefaultClient, "http://"+r.address+"/v2/")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(http.StatusUnauthorized))

	g.Expect(folder.refused(config)).To(Equal(fmt.Sprintf(
		"irene: open the registry's directory %s: another registry uses it, process %d\n", folder.content, os.Getpid())))

	r.stop()
	g.Eventually(r.ended, "20s").Should(Receive(BeZero()))
	g.Expect(r.stderr.Contents()).To(BeEmpty())
	g.Expect(r.stdout).To(gbytes.Say(`"message":"irene.stopped"`))
	g.Expect(r.stdout.Contents()).NotTo(Or(ContainSubstring(folder.pushSecret), ContainSubstring(folder.pullSecret)))

	second := folder.serve(config)
	g.Expect(second.pull("cloudfoundry/app:one", puller)).To(Succeed(), "what was pushed stays")
}

func TestRegistryHealthPort(t *testing.T) {
	g := NewWithT(t)
	folder := newRegistryFolder(t)
	r := folder.serve(folder.config(""))
	_, err := r.push("cloudfoundry/app:one", as("irene", folder.pushSecret))
	g.Expect(err).NotTo(HaveOccurred())

	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/readyz/emitter": 404, "/v2/": 404} {
		status, _ := r.look(path)
		g.Expect(status).To(Equal(want), path)
	}
	var metrics string
	g.Eventually(func() string {
		_, metrics = r.look("/metrics")
		return metrics
	}).Should(And(
		ContainSubstring(`irene_registry_requests_total{code="201",method="PUT",route="manifest"} 1`),
		MatchRegexp(`irene_registry_free_bytes [1-9]`),
		ContainSubstring("go_goroutines"),
	))
	text := documents["registry"].text(t)
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (irene_\w+)`).FindAllStringSubmatch(metrics, -1) {
		g.Expect(text).To(ContainSubstring("`"+found[1]+"`"), "documented")
	}

	g.Expect(os.Rename(folder.content, folder.content+"-away")).To(Succeed())
	status, reason := r.look("/readyz")
	g.Expect(status).To(Equal(503))
	g.Expect(reason).To(HavePrefix("not ready: check the registry's directory: "))
	g.Expect(os.Rename(folder.content+"-away", folder.content)).To(Succeed())
}

func TestRegistryWithTLS(t *testing.T) {
	g := NewWithT(t)
	folder := newRegistryFolder(t)
	authority := newAuthority(t, "ours")
	certificate, key := authority.sign("registry")
	r := folder.serve(folder.config(fmt.Sprintf("listen: {address: \"127.0.0.1:0\", tls: {certificate_file: %q, key_file: %q}}\n",
		folder.write("tls.crt", string(certificate)), folder.write("tls.key", string(key)))))
	trusting := remote.WithTransport(client(authority, nil).Transport)
	_, err := r.push("cloudfoundry/app:one", as("irene", folder.pushSecret), trusting)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r.pull("cloudfoundry/app:one", as("kubelet", folder.pullSecret), trusting)).To(Succeed())
	status, body, err := get(http.DefaultClient, "http://"+r.address+"/v2/")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(http.StatusBadRequest))
	g.Expect(body).To(ContainSubstring("Client sent an HTTP request to an HTTPS server"))
}

func TestRegistryEndsWithinItsTimeout(t *testing.T) {
	g := NewWithT(t)
	folder := newRegistryFolder(t)
	r := folder.serve(folder.config("shutdown: {delay: 0s, timeout: 200ms}"))
	call := func(method, url string, body io.Reader) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), method, url, body)
		g.Expect(err).NotTo(HaveOccurred())
		request.SetBasicAuth("irene", folder.pushSecret)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil
		}
		g.Expect(response.Body.Close()).To(Succeed())
		return response
	}
	begun := call(http.MethodPost, "http://"+r.address+"/v2/cloudfoundry/app/blobs/uploads/", nil)
	g.Expect(begun.StatusCode).To(Equal(http.StatusAccepted))
	upload, err := begun.Location()
	g.Expect(err).NotTo(HaveOccurred())
	slow, sender := io.Pipe()
	answered := make(chan *http.Response, 1)
	go func() { answered <- call(http.MethodPatch, upload.String(), slow) }()
	// More than fits between the two, so that the registry is at it.
	_, err = sender.Write(make([]byte, 32<<20))
	g.Expect(err).NotTo(HaveOccurred())

	r.stop()
	g.Eventually(r.ended, "10s").Should(Receive(Equal(exitFailed)))
	g.Expect(string(r.stderr.Contents())).To(ContainSubstring("requests were still running after shutdown.timeout, 200ms, and have been cut off"))
	g.Expect(sender.Close()).To(Succeed())
	g.Eventually(answered).Should(Receive(BeNil()))
}

func TestRegistrySaysWhatItCannotUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	folder := newRegistryFolder(t)
	file := folder.write("a-file", "")
	for name, example := range map[string]struct{ yaml, want string }{
		"a directory that is a file": {fmt.Sprintf("storage: {directory: %q}\nanonymous: true", file),
			"irene: open the registry's directory " + file + ": mkdir " + file + ": not a directory\n"},
		"missing passwords": {fmt.Sprintf("storage: {directory: %q}\nusers: [{name: a, password_file: /nowhere/a}, {name: b, password_file: %q}]", folder.content, file),
			"irene: configuration " + folder.path + "/registry.yml:\n  users[0].password_file: open /nowhere/a: no such file or directory\n  users[1].password_file: " + file + " holds no value\n"},
		"missing certificates": {fmt.Sprintf("storage: {directory: %q}\nanonymous: true\nlisten: {tls: {certificate_file: /nowhere/c, key_file: /nowhere/k}}", folder.content),
			"irene: certificates:\n  listen.tls.certificate_file: open /nowhere/c: no such file or directory\n  listen.tls.key_file: open /nowhere/k: no such file or directory\n"},
		"a port in use": {fmt.Sprintf("storage: {directory: %q}\nanonymous: true\nlisten: {address: %q}", folder.content, taken.Addr()),
			"irene: listen.address: listen tcp " + taken.Addr().String() + ": bind: address already in use\n"},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(folder.refused(folder.write("registry.yml", example.yaml))).To(Equal(example.want))
		})
	}
	folder.serve(folder.config(""))
}

func TestRegistryWarnsOfOpenDoors(t *testing.T) {
	for name, example := range map[string]struct {
		yaml string
		want []string
	}{
		"loopback":           {"listen: {address: \"127.0.0.1:5000\"}\nanonymous: true", nil},
		"TLS and users":      {requiredByRegistry + "listen: {tls: {certificate_file: c, key_file: k}}", nil},
		"users without TLS":  {requiredByRegistry, []string{"irene.no-tls"}},
		"TLS without users":  {"anonymous: true\nlisten: {tls: {certificate_file: c, key_file: k}}", []string{"irene.no-users"}},
		"neither of the two": {"anonymous: true", []string{"irene.no-tls", "irene.no-users"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			config, err := parseRegistryConfiguration([]byte(example.yaml))
			g.Expect(err).NotTo(HaveOccurred())
			logger, log := newLog(t)
			config.warn(logger)
			var said []string
			for _, found := range regexp.MustCompile(`"message":"([^"]+)"`).FindAllStringSubmatch(string(log.Contents()), -1) {
				said = append(said, found[1])
			}
			g.Expect(said).To(Equal(example.want))
		})
	}
}
