package nats

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	. "github.com/onsi/gomega"
)

func TestCheckTriesEveryServerByItself(t *testing.T) {
	g := NewWithT(t)
	s := startNATS(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "irene", Password: "secret"},
			{Username: "half", Password: "secret", Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"router.start", "irene.emitter.>"}}}},
		}
	})
	passwordFile := filepath.Join(t.TempDir(), "password")
	g.Expect(os.WriteFile(passwordFile, []byte("secret\n"), 0o600)).To(Succeed())
	check := func(user string) []CheckedServer {
		checked, err := Check(Settings{Servers: []string{"nats://127.0.0.1:1", s.ClientURL()}, User: user, PasswordFile: passwordFile}, "apps")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(checked).To(HaveLen(2))
		g.Expect(checked[0].Err).To(MatchError(nats.ErrNoServers))
		return checked
	}
	g.Expect(check("irene")[1]).To(Equal(CheckedServer{Server: s.ClientURL()}))
	g.Expect(check("half")[1].Err).To(And(MatchError(nats.ErrPermissionViolation),
		MatchError(ContainSubstring(`"router.start"`)), MatchError(ContainSubstring(`"irene.emitter.apps"`))))
	g.Expect(check("nobody")[1].Err).To(MatchError(nats.ErrAuthorization))

	_, err := Check(Settings{Servers: []string{s.ClientURL()}, User: "irene", PasswordFile: "/nowhere"}, "apps")
	g.Expect(err).To(MatchError(ContainSubstring("/nowhere")))
}

func TestCheckTellsTheServersCertificate(t *testing.T) {
	g := NewWithT(t)
	certFile, keyFile, _ := certificate(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	g.Expect(err).NotTo(HaveOccurred())
	s := startNATS(t, func(o *server.Options) {
		o.TLSConfig, o.TLS, o.TLSTimeout = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, true, 5
	})
	url := "tls://" + strings.TrimPrefix(strings.TrimPrefix(s.ClientURL(), "tls://"), "nats://")
	checked, err := Check(Settings{Servers: []string{url}, CAFile: certFile}, "apps")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(checked[0].Err).NotTo(HaveOccurred())
	g.Expect(checked[0].Certificate.IPAddresses).NotTo(BeEmpty())
}
