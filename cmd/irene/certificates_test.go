package main

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/irene-cf/irene/reload"
)

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	r.Pattern = "/hello"
	_, _ = w.Write([]byte("hello"))
})

func load(t *testing.T, files TLS, now func() time.Time) *serverCertificates {
	t.Helper()
	logger, _ := newLog(t)
	certs, err := loadCertificates(files, logger, now)
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

func TestOnlyListedClientsGetIn(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	folder := newCertificateFolder(t)
	folder.write(ours, ours)
	service := start(t, hello, load(t, folder.files("cloud_controller", "api.cf.internal"), time.Now), nil)
	url := service.apiURL("https", "/")

	for name, example := range map[string]struct {
		client *http.Client
		status int
		body   string
		fails  string
	}{
		"no certificate":       {client: client(ours, nil), fails: "certificate required"},
		"another authority":    {client: client(ours, others.client("cloud_controller")), fails: "certificate"},
		"listed common name":   {client: client(ours, ours.client("cloud_controller")), status: 200, body: "hello"},
		"listed DNS name":      {client: client(ours, ours.client("api", "other.internal", "api.cf.internal")), status: 200, body: "hello"},
		"no listed name":       {client: client(ours, ours.client("diego", "cell.internal")), status: 403, body: `{"error":{"message":"the client certificate of \"diego\", \"cell.internal\" is not among those allowed by listen.tls.client_names"},"message":"the client certificate of \"diego\", \"cell.internal\" is not among those allowed by listen.tls.client_names"}`},
		"no name at all":       {client: client(ours, ours.client("")), status: 403, body: `{"error":{"message":"the client certificate of a nameless client is not among those allowed by listen.tls.client_names"},"message":"the client certificate of a nameless client is not among those allowed by listen.tls.client_names"}`},
		"common name repeated": {client: client(ours, ours.client("cell.internal", "cell.internal")), status: 403, body: `{"error":{"message":"the client certificate of \"cell.internal\" is not among those allowed by listen.tls.client_names"},"message":"the client certificate of \"cell.internal\" is not among those allowed by listen.tls.client_names"}`},
		"names match exactly":  {client: client(ours, ours.client("Cloud_controller", "x.api.cf.internal")), status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			status, body, err := get(example.client, url)
			if example.fails != "" {
				g.Expect(err).To(MatchError(ContainSubstring(example.fails)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(status).To(Equal(example.status))
			if status == http.StatusForbidden && example.body != "" {
				g.Expect(body).To(MatchJSON(example.body))
			} else if example.body != "" {
				g.Expect(body).To(Equal(example.body))
			}
		})
	}
	NewWithT(t).Eventually(service.log).Should(gbytes.Say("TLS handshake error"), "failed handshakes are logged")
}

func TestRotatedFilesCountWithoutRestart(t *testing.T) {
	g := NewWithT(t)
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	folder := newCertificateFolder(t)
	folder.write(before, before)
	logger, log := newLog(t)
	time := new(movableClock)
	certs, err := loadCertificates(folder.files("cc"), logger, time.now)
	g.Expect(err).NotTo(HaveOccurred())
	service := start(t, hello, certs, nil)
	ask := func(server, of *authority) error {
		_, _, err := get(client(server, of.client("cc")), service.apiURL("https", "/"))
		return err
	}
	g.Expect(ask(before, before)).To(Succeed())

	folder.write(after, after)
	g.Expect(ask(before, before)).To(Succeed(), "looked at once a second at most")

	time.advance(reload.CheckInterval)
	g.Expect(ask(after, after)).To(Succeed())
	g.Expect(ask(before, after)).NotTo(Succeed(), "the old server certificate is gone")
	g.Expect(ask(after, before)).NotTo(Succeed(), "the old client authority is gone")
	g.Expect(log).To(gbytes.Say(`"message":"irene.certificates.reloaded"`))
}

func TestWithoutAnAuthorityClientsNeedNoCertificate(t *testing.T) {
	g := NewWithT(t)
	before, after := newAuthority(t, "before"), newAuthority(t, "after")
	folder := newCertificateFolder(t)
	folder.write(before, before)
	files := folder.files()
	files.ClientCAFile = ""
	time := new(movableClock)
	logger, _ := newLog(t)
	certs, err := loadCertificates(files, logger, time.now)
	g.Expect(err).NotTo(HaveOccurred())
	listener, err := tls.Listen("tcp", "127.0.0.1:0", certs.tlsConfig())
	g.Expect(err).NotTo(HaveOccurred())
	server := &http.Server{Handler: hello}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	ask := func(server *authority) (string, error) {
		_, body, err := get(client(server, nil), "https://"+listener.Addr().String())
		return body, err
	}
	g.Expect(ask(before)).To(Equal("hello"))
	folder.write(after, after)
	time.advance(reload.CheckInterval)
	g.Expect(ask(after)).To(Equal("hello"))
}

func TestUnusableFilesKeepTheOldOnes(t *testing.T) {
	good := newAuthority(t, "good")
	certificate, key := good.sign("irene")
	_, otherKey := good.sign("irene")
	for name, spoil := range map[string]func(*certificateFolder){
		"certificate and key do not fit": func(f *certificateFolder) { f.writePEM(certificate, otherKey, good.pem) },
		"certificate is not PEM":         func(f *certificateFolder) { f.writePEM([]byte("x"), key, good.pem) },
		"authority is not PEM":           func(f *certificateFolder) { f.writePEM(certificate, key, []byte("x")) },
		"files are gone": func(f *certificateFolder) {
			if err := os.Remove(filepath.Join(f.path, "..data")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			folder := newCertificateFolder(t)
			folder.write(good, good)
			logger, log := newLog(t)
			time := new(movableClock)
			certs, err := loadCertificates(folder.files(), logger, time.now)
			g.Expect(err).NotTo(HaveOccurred())
			old := certs.Current()

			spoil(folder)
			for range 3 {
				time.advance(reload.CheckInterval)
				g.Expect(certs.Current()).To(BeIdenticalTo(old))
			}
			g.Expect(log).To(gbytes.Say(`reload-failed`))
			g.Expect(log).NotTo(gbytes.Say(`reload-failed`), "once is enough")
		})
	}
}

func TestMissingCertificateFilesAreAllNamed(t *testing.T) {
	g := NewWithT(t)
	logger, _ := newLog(t)
	_, err := loadCertificates(TLS{CertificateFile: "/nowhere/c", KeyFile: "/nowhere/k", ClientCAFile: "/nowhere/a"}, logger, time.Now)
	g.Expect(err).To(MatchError(And(
		ContainSubstring("listen.tls.certificate_file: open /nowhere/c: no such file"),
		ContainSubstring("listen.tls.key_file: open /nowhere/k: no such file"),
		ContainSubstring("listen.tls.client_ca_file: open /nowhere/a: no such file"),
	)))
}
