//go:build controlplane

package controlplane_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/loopback"
)

// operated is a platform on which people run irene's commands.
type operated struct {
	*controlplane.Platform
	// config is what the commands read.
	config map[string]any
}

// settle makes the configuration out of the platform's settings.
func (o *operated) settle(more map[string]any) {
	o.config = map[string]any{
		"listen":     map[string]any{"address": "127.0.0.1:1", "plaintext": true}, // commands don't listen
		"kubernetes": map[string]any{"kubeconfig_file": o.Kubeconfig, "namespace": o.Namespace},
		"registry":   map[string]any{"pull_address": "127.0.0.1:1"},
	}
	for _, settings := range []map[string]any{o.Settings, more} {
		for key, value := range settings {
			o.config[key] = value
		}
	}
}

// ends runs a command, wants this status, and returns what it printed.
func (o *operated) ends(ctx context.Context, status int, command string, arguments ...string) (stdout, stderr string) {
	GinkgoHelper()
	content, err := yaml.Marshal(o.config)
	Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(o.Dir, "operator.yaml")
	Expect(os.WriteFile(file, content, 0o600)).To(Succeed())
	session, err := gexec.Start(exec.CommandContext(ctx, filepath.Join(binaries, "irene"), append([]string{command, "--config", file}, arguments...)...), GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	Eventually(session).WithContext(ctx).WithTimeout(40 * time.Second).Should(gexec.Exit())
	stdout, stderr = string(session.Out.Contents()), string(session.Err.Contents())
	Expect(session.ExitCode()).To(Equal(status), stdout+stderr)
	return stdout, stderr
}

// shows is ends for a command that prints JSON.
func (o *operated) shows(ctx context.Context, status int, into any, command string, arguments ...string) {
	GinkgoHelper()
	stdout, _ := o.ends(ctx, status, command, append([]string{"-o", "json"}, arguments...)...)
	Expect(json.Unmarshal([]byte(stdout), into)).To(Succeed(), stdout)
}

// shownFinding is one of "irene doctor".
type shownFinding struct {
	Check, Verdict, Found, Mend string
}

// finding is the doctor's on what begins like this; the others must be fine or not to be
// told.
func (o *operated) finding(ctx context.Context, status int, check string, arguments ...string) shownFinding {
	GinkgoHelper()
	var found []shownFinding
	o.shows(ctx, status, &found, "doctor", arguments...)
	var about []shownFinding
	for _, one := range found {
		if strings.HasPrefix(one.Check, check) {
			about = append(about, one)
			continue
		}
		Expect(one.Verdict).To(BeElementOf("ok", "unknown"), "%+v", one)
	}
	Expect(about).To(HaveLen(1), "%+v", found)
	return about[0]
}

// actingAs is the kubeconfig of somebody who may do nothing yet.
func actingAs(user, dir string) string {
	GinkgoHelper()
	config, err := clientcmd.LoadFromFile(direct())
	Expect(err).NotTo(HaveOccurred())
	for _, who := range config.AuthInfos {
		who.Impersonate = user
	}
	file := filepath.Join(dir, "kubeconfig-"+user)
	Expect(clientcmd.WriteToFile(*config, file)).To(Succeed())
	return file
}

// signer signs certificates.
type signer struct {
	dir         string
	certificate *x509.Certificate
	key         crypto.Signer
	// file has the authority's own certificate.
	file string
}

func newSigner(dir, name string) *signer {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	s := &signer{dir: dir, key: key}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	Expect(err).NotTo(HaveOccurred())
	s.certificate, err = x509.ParseCertificate(der)
	Expect(err).NotTo(HaveOccurred())
	s.file = s.write(name+".crt", "CERTIFICATE", der)
	return s
}

func (s *signer) write(name, kind string, der []byte) string {
	GinkgoHelper()
	file := filepath.Join(s.dir, name)
	Expect(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)).To(Succeed())
	return file
}

// signs makes files with a certificate, good for either end on loopback, and its key.
func (s *signer) signs(name string, key crypto.Signer, end time.Time) (certificate, keyFile string) {
	GinkgoHelper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(loopback.Host())},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: end,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, s.certificate, key.Public(), s.key)
	Expect(err).NotTo(HaveOccurred())
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	Expect(err).NotTo(HaveOccurred())
	return s.write(name+".crt", "CERTIFICATE", der), s.write(name+".key", "PRIVATE KEY", keyDER)
}

func rsaKey() crypto.Signer {
	GinkgoHelper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	Expect(err).NotTo(HaveOccurred())
	return key
}

func ecKey() crypto.Signer {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	return key
}

// securePort answers as Cloud Controller's port for mutual TLS does: 404 for what it
// does not know, to those whose certificate clients signed.
func securePort(certificate, key string, clients *signer) (address string) {
	GinkgoHelper()
	pair, err := tls.LoadX509KeyPair(certificate, key)
	Expect(err).NotTo(HaveOccurred())
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	server.TLS.ClientCAs.AddCert(clients.certificate)
	server.Config.ErrorLog = nil
	server.StartTLS()
	DeferCleanup(server.Close)
	return server.URL
}
