package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Names in certificates, which are those of cf-deployment.
const (
	bbsHost             = "bbs.service.cf.internal"
	cloudControllerHost = "cloud-controller-ng.service.cf.internal"
)

// Certificates in DIR/certificates, each with a key.
const (
	// bbsCertificate is of Irene's BBS door.
	bbsCertificate = "bbs"
	// cloudControllerCertificate is what Cloud Controller shows, and what its stand-in serves with.
	cloudControllerCertificate = "cloud-controller"
	// ireneCertificate is what Irene and its builds show to Cloud Controller and its uploader.
	ireneCertificate = "irene"
	// uploaderCertificate is what the uploader shows to Cloud Controller.
	uploaderCertificate = "cc-uploader"
	authorityName       = "authority"
)

// certificateYears is how long certificates are valid; "down" removes them.
const certificateYears = 10

func (f *folder) certificate(name string) string { return f.at(certificatesName, name+".crt") }
func (f *folder) key(name string) string         { return f.at(certificatesName, name+".key") }
func (f *folder) authority() string              { return f.certificate(authorityName) }

// makeCertificates makes an authority and what it signs, unless they are there and good for the
// address of the stand-in.
func (c *cloud) makeCertificates() error {
	host, _, err := net.SplitHostPort(c.state.CloudControllerAddress)
	if err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	good, err := c.certificateCovers(cloudControllerCertificate, host)
	if err != nil || good {
		return err
	}
	if err := os.MkdirAll(c.at(certificatesName), 0o700); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	authority, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "irene-dev"}, key)
	if err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	local := []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(host)}
	for name, names := range map[string][]string{
		bbsCertificate: {bbsHost, "localhost"}, cloudControllerCertificate: {cloudControllerHost},
		ireneCertificate: {"irene"}, uploaderCertificate: {"cc-uploader.service.cf.internal"},
	} {
		if err := c.issue(name, authority, key, names, local); err != nil {
			return fmt.Errorf("make certificates: %w", err)
		}
	}
	// The authority comes last: without it nothing above counts.
	if err := cert.WriteCert(c.authority(), encodeCertificate(authority.Raw)); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	return nil
}

// certificateCovers reports whether a certificate is signed by the authority that is there, and
// good for an address.
func (c *cloud) certificateCovers(name, address string) (bool, error) {
	for _, file := range []string{c.authority(), c.certificate(name)} {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
	}
	authorities, err := cert.NewPool(c.authority())
	if err != nil {
		return false, err
	}
	found, err := cert.CertsFromFile(c.certificate(name))
	if err != nil {
		return false, err
	}
	_, err = found[0].Verify(x509.VerifyOptions{DNSName: address, Roots: authorities, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil, nil
}

// issue writes a certificate, for servers and clients, and its key.
func (f *folder) issue(name string, authority *x509.Certificate, signer crypto.Signer, names []string, addresses []net.IP) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	now := time.Now()
	content, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, IPAddresses: addresses,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(certificateYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, authority, key.Public(), signer)
	if err != nil {
		return err
	}
	encodedKey, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return errors.Join(cert.WriteCert(f.certificate(name), encodeCertificate(content)), keyutil.WriteKey(f.key(name), encodedKey))
}

func encodeCertificate(content []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: content})
}
