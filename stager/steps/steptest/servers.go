// Package steptest has what tests of the staging steps share: servers with and without
// TLS, and the certificates of a platform.
package steptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps"
)

// Platform is a certificate authority with what it signed: a server's certificate
// and a client's.
type Platform struct {
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
	// Pool are the authorities that servers trust clients of.
	Pool   *x509.CertPool
	folder string
}

// NewPlatform makes an authority and what it signs. The server's certificate is good for
// 127.0.0.1 and for more addresses.
func NewPlatform(t testing.TB, more ...net.IP) *Platform {
	t.Helper()
	g := NewWithT(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	g.Expect(err).NotTo(HaveOccurred())
	authority, err := x509.ParseCertificate(der)
	g.Expect(err).NotTo(HaveOccurred())
	p := &Platform{authority: authority, key: key, Pool: x509.NewCertPool(), folder: t.TempDir()}
	p.Pool.AddCert(authority)
	p.write(t, "ca.pem", "CERTIFICATE", der)
	p.issue(t, "server", x509.ExtKeyUsageServerAuth, append(more, net.IPv4(127, 0, 0, 1)))
	p.issue(t, "client", x509.ExtKeyUsageClientAuth, nil)
	return p
}

func (p *Platform) issue(t testing.TB, name string, usage x509.ExtKeyUsage, addresses []net.IP) {
	t.Helper()
	g := NewWithT(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: addresses,
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, p.authority, &key.PublicKey, p.key)
	g.Expect(err).NotTo(HaveOccurred())
	p.write(t, name+".pem", "CERTIFICATE", der)
	text, err := x509.MarshalECPrivateKey(key)
	g.Expect(err).NotTo(HaveOccurred())
	p.write(t, name+".key", "EC PRIVATE KEY", text)
}

func (p *Platform) write(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	NewWithT(t).Expect(os.WriteFile(filepath.Join(p.folder, name), text, 0o600)).To(Succeed())
}

// File is the path of one of ca.pem, server.pem, server.key, client.pem, client.key.
func (p *Platform) File(name string) string { return filepath.Join(p.folder, name) }

// Files is what a step gets.
func (p *Platform) Files() steps.TLSFiles {
	return steps.TLSFiles{Certificate: p.File("client.pem"), Key: p.File("client.key"), Authorities: []string{p.File("ca.pem")}}
}

// Serve starts a TLS server that treats client certificates in that way.
func (p *Platform) Serve(t testing.TB, auth tls.ClientAuthType, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(p.File("server.pem"), p.File("server.key"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: auth, ClientCAs: p.Pool, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// Serve starts a server without TLS.
func Serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server
}
