package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, certificate: certificate, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate, good for either end on loopback, and its key in PEM.
func (a *authority) sign(commonName string, dnsNames ...string) (certificate, key []byte) {
	a.t.Helper()
	own := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: commonName},
		DNSNames:     dnsNames,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// client is a certificate as a TLS client presents it.
func (a *authority) client(commonName string, dnsNames ...string) []tls.Certificate {
	a.t.Helper()
	certificate, key := a.sign(commonName, dnsNames...)
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		a.t.Fatal(err)
	}
	return []tls.Certificate{pair}
}

// certificateFolder holds a server's three files the way a kubelet lays out a
// Secret: links to a link to a folder, which is what gets swapped.
type certificateFolder struct {
	t    *testing.T
	path string
	n    int
}

func newCertificateFolder(t *testing.T) *certificateFolder {
	t.Helper()
	f := &certificateFolder{t: t, path: t.TempDir()}
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(f.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// write swaps in new files; server signs the API's certificate, clients clients'.
func (f *certificateFolder) write(server, clients *authority) {
	f.t.Helper()
	certificate, key := server.sign("irene")
	f.writePEM(certificate, key, clients.pem)
}

func (f *certificateFolder) writePEM(certificate, key, clientCA []byte) {
	f.t.Helper()
	f.n++
	version := filepath.Join(f.path, "..version"+string(rune('a'+f.n)))
	check := func(err error) {
		if err != nil {
			f.t.Fatal(err)
		}
	}
	check(os.Mkdir(version, 0o700))
	check(os.WriteFile(filepath.Join(version, "tls.crt"), certificate, 0o600))
	check(os.WriteFile(filepath.Join(version, "tls.key"), key, 0o600))
	check(os.WriteFile(filepath.Join(version, "ca.crt"), clientCA, 0o600))
	check(os.Symlink(filepath.Base(version), filepath.Join(f.path, "..data_tmp")))
	check(os.Rename(filepath.Join(f.path, "..data_tmp"), filepath.Join(f.path, "..data")))
}

func (f *certificateFolder) files(clientNames ...string) TLS {
	return TLS{
		CertificateFile: filepath.Join(f.path, "tls.crt"),
		KeyFile:         filepath.Join(f.path, "tls.key"),
		ClientCAFile:    filepath.Join(f.path, "ca.crt"),
		ClientNames:     clientNames,
	}
}
