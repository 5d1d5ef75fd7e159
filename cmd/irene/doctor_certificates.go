package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"time"
)

// expiryNotice is how long before its end a certificate is worth a warning.
const expiryNotice = 30 * 24 * time.Hour

// examineListener looks at the certificates of the API, and at the one of its caller.
func examineListener(_ context.Context, e examination) []finding {
	found := e.listener("listen", "the API", e.config.Listen)
	if e.config.Listen.Plaintext {
		return found
	}
	const check = "Cloud Controller's certificate for irene"
	if e.callerCertificate == "" {
		return append(found, finding{Check: check, Verdict: verdictUnknown, Found: "not looked at: Cloud Controller has it (opi.client_cert_file)",
			Mend: "give it with --caller-certificate FILE; its key must be RSA"})
	}
	return append(found, e.caller(check, e.callerCertificate, "listen", e.config.Listen.TLS, checkOPIKey))
}

// checkOPIKey refuses keys that Cloud Controllers with an OPI client can't read: they take
// them for RSA, so another kind keeps them from calling at all.
func checkOPIKey(certificate *x509.Certificate) error {
	if _, isRSA := certificate.PublicKey.(*rsa.PublicKey); !isRSA {
		return fmt.Errorf("its key is %s: Cloud Controller reads it as RSA and can't load another kind", keyKind(certificate))
	}
	return nil
}

// listener looks at the certificates of a door's listener, which has its settings below a key.
func (e examination) listener(key, door string, listen Listen) []finding {
	if listen.Plaintext {
		return []finding{{Check: key + ".plaintext", Verdict: verdictWarning,
			Found: door + " is served without TLS to every program on the machine", Mend: "set " + key + ".tls for anything but a trial"}}
	}
	return []finding{
		e.certificate(key+".tls.certificate_file", listen.TLS.CertificateFile, listen.TLS.KeyFile, x509.ExtKeyUsageServerAuth),
		e.authorities(key+".tls.client_ca_file", listen.TLS.ClientCAFile),
	}
}

// caller looks at the certificate in file, which Cloud Controller shows to the listener with
// its settings below key. checkKey may refuse the certificate's key.
func (e examination) caller(check, file, key string, files TLS, checkKey func(*x509.Certificate) error) finding {
	chain, err := readCertificates(file)
	if err != nil {
		return failed(check, fmt.Errorf("%s: %w", file, err), "name a PEM file with certificates")
	}
	own := chain[0]
	if err := checkKey(own); err != nil {
		return failed(check, err, "make a new certificate with an RSA key (2048 bits or more)")
	}
	if !slices.ContainsFunc(namesOf(own), func(name string) bool { return slices.Contains(files.ClientNames, name) }) {
		return failed(check, fmt.Errorf("%s is not among %s.tls.client_names: irene answers 403", describeClient(own), key),
			fmt.Sprintf("add the name to %s.tls.client_names, or make a certificate with one of them", key))
	}
	authorities, err := os.ReadFile(files.ClientCAFile)
	if err != nil {
		return finding{Check: check, Verdict: verdictUnknown, Found: fmt.Sprintf("can't be checked without %s.tls.client_ca_file", key)}
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM(authorities)
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	_, err = own.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: e.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return failed(check, err, fmt.Sprintf("make one that an authority of %s.tls.client_ca_file signs, for client authentication, and give it to Cloud Controller", key))
	}
	return e.dated(check, own)
}

// certificate looks at a certificate that irene shows, and its key.
func (e examination) certificate(check, certificateFile, keyFile string, use x509.ExtKeyUsage) finding {
	pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return failed(check, fmt.Errorf("%s and %s: %w", certificateFile, keyFile, err), "put a certificate and its key there, in PEM form")
	}
	own := pair.Leaf
	if len(own.ExtKeyUsage) > 0 && !slices.Contains(own.ExtKeyUsage, use) && !slices.Contains(own.ExtKeyUsage, x509.ExtKeyUsageAny) {
		purpose := "servers (server authentication)"
		if use == x509.ExtKeyUsageClientAuth {
			purpose = "clients (client authentication)"
		}
		return failed(check, fmt.Errorf("%s is not for %s", describeClient(own), purpose), "make a certificate with that extended key usage")
	}
	return e.dated(check, own)
}

// authorities looks at a file of those that are trusted. One that is past its time
// harms nobody as long as another is not.
func (e examination) authorities(check, file string) finding {
	all, err := readCertificates(file)
	if err != nil {
		return failed(check, fmt.Errorf("%s: %w", file, err), "put the authorities' certificates there, in PEM form")
	}
	last := slices.MaxFunc(all, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	result := e.dated(check, last)
	if len(all) > 1 {
		result.Found += fmt.Sprintf(", the last of %d authorities to end", len(all))
	}
	return result
}

// dated tells of a certificate and judges its dates.
func (e examination) dated(check string, certificate *x509.Certificate) finding {
	left := certificate.NotAfter.Sub(e.now)
	end := certificate.NotAfter.UTC().Format(time.DateTime) + " UTC"
	what := fmt.Sprintf("%s, %s", describeClient(certificate), keyKind(certificate))
	switch {
	case e.now.Before(certificate.NotBefore):
		return failed(check, fmt.Errorf("%s: is good from %s only", what, certificate.NotBefore.UTC().Format(time.DateTime)+" UTC"), "check this machine's clock, or make a new one")
	case left <= 0:
		return failed(check, fmt.Errorf("%s: expired on %s", what, end), "renew it; irene reads its files again by itself")
	case left < expiryNotice:
		return finding{Check: check, Verdict: verdictWarning, Found: fmt.Sprintf("%s: ends on %s, in %s", what, end, since(e.now, certificate.NotAfter)),
			Mend: "renew it in time; irene reads its files again by itself"}
	}
	return fine(check, "%s, good until %s", what, end)
}

func keyKind(certificate *x509.Certificate) string {
	switch key := certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return certificate.PublicKeyAlgorithm.String()
}
