package nats

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	. "github.com/onsi/gomega"
)

// certificate writes a self-signed certificate, good for server, client and as
// its own authority.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	g := NewWithT(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"nats.service.cf.internal"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	g.Expect(err).NotTo(HaveOccurred())
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	g.Expect(err).NotTo(HaveOccurred())
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	g.Expect(os.WriteFile(certFile, certPEM, 0o600)).To(Succeed())
	g.Expect(os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600)).To(Succeed())
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}

func TestMutualTLSAndPassword(t *testing.T) {
	g := NewWithT(t)
	certFile, keyFile, pool := certificate(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	g.Expect(err).NotTo(HaveOccurred())
	s := startNATS(t, func(o *server.Options) {
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
		o.TLS, o.TLSVerify, o.TLSTimeout = true, true, 5
		o.Username, o.Password = "nats", "secret"
	})
	url := "tls://" + strings.TrimPrefix(strings.TrimPrefix(s.ClientURL(), "tls://"), "nats://")
	// The first server is not there: the second one is used.
	passwordFile := filepath.Join(t.TempDir(), "password")
	g.Expect(os.WriteFile(passwordFile, []byte("secret\n"), 0o600)).To(Succeed())
	settings := Settings{Servers: []string{"tls://127.0.0.1:1", url}, CAFile: certFile, CertFile: certFile, KeyFile: keyFile, User: "nats", PasswordFile: passwordFile}
	g.Eventually(startEmitter(t, "a", settings).Connected).WithTimeout(5 * time.Second).Should(Succeed())

	wrong := settings
	wrong.PasswordFile = filepath.Join(t.TempDir(), "wrong")
	g.Expect(os.WriteFile(wrong.PasswordFile, []byte("wrong"), 0o600)).To(Succeed())
	refused := startEmitter(t, "b", wrong)
	g.Eventually(refused.Connected).WithTimeout(5 * time.Second).Should(MatchError(MatchRegexp("(?i)authorization")))
	g.Expect(os.WriteFile(wrong.PasswordFile, []byte("secret"), 0o600)).To(Succeed())
	g.Eventually(refused.Connected).WithTimeout(5*time.Second).Should(Succeed(), "a password is mended without a restart")
	named := settings
	named.ServerName = "nats.service.cf.internal"
	g.Eventually(startEmitter(t, "d", named).Connected).WithTimeout(5*time.Second).Should(Succeed(), "the name in the certificate, not that in the URL")
	named.ServerName = "other.service.cf.internal"
	g.Eventually(startEmitter(t, "e", named).Connected).WithTimeout(5 * time.Second).Should(MatchError(ContainSubstring("other.service.cf.internal")))
	without := settings
	without.CertFile, without.KeyFile = "", ""
	g.Eventually(startEmitter(t, "c", without).Connected).WithTimeout(5 * time.Second).Should(MatchError(ContainSubstring("certificate")))
}
