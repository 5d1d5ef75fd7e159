package builds

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/opi"
)

// buildRegistry takes credentials of builds for a repository, unless it is "".
type buildRegistry struct {
	repository string
	err        error
}

func (r buildRegistry) BuildRepository(context.Context) (string, error) { return r.repository, r.err }

func credentialFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	NewWithT(t).Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
	return path
}

// staged stages a build and returns user and password that its pod gets.
func (w world) staged(t *testing.T) (username, password string) {
	t.Helper()
	g := NewWithT(t)
	w.options.Images = shelf{}
	build := testBuild()
	g.Expect(w.Stage(context.Background(), build)).To(Succeed())
	secret, err := w.client.CoreV1().Secrets(w.options.Settings.Namespace).Get(context.Background(), job.Name(namePrefix, build.GUID), metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	for key, content := range secret.Data {
		g.Expect(string(content)).NotTo(ContainSubstring("rotated"), "only the first line of a file goes to pods: %s", key)
		if w.options.Registry == (buildRegistry{repository: "cloudfoundry/droplets"}) {
			g.Expect(string(content)).NotTo(ContainSubstring("writer-hunter2"), key)
		}
	}
	return string(secret.Data["registry-username"]), string(secret.Data[registryPasswordFile])
}

func TestABuildGetsACredentialOfItsOwn(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.options.Credentials = CredentialFiles{RegistryUsername: credentialFile(t, "irene"), RegistryPassword: credentialFile(t, "writer-hunter2\nrotated\n")}
	w.options.Registry = buildRegistry{repository: "cloudfoundry/droplets"}
	username, password := w.staged(t)
	build, err := credential.ParseBuild(username)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(build.GUID).To(Equal(testGUID))
	g.Expect(build.Repository).To(Equal("cloudfoundry/droplets"))
	g.Expect(build.Expires.Sub(now)).To(BeNumerically("~", DefaultDeadline+job.DefaultSchedulingPatience+scopeMargin, time.Second))
	key, err := credential.NewBuildKey("irene", "writer-hunter2")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(key.Matches(username, password)).To(BeTrue())
	g.Expect(testutil.ToFloat64(w.metrics.accounts.WithLabelValues("build"))).To(Equal(1.0))
}

func TestOtherAccountsOfBuilds(t *testing.T) {
	for account, c := range map[string]struct {
		builds, anonymous  bool
		username, password string
	}{
		"irene":  {username: "irene", password: "writer-hunter2"},
		"builds": {builds: true, username: "builder", password: "builder-hunter2"},
		"none":   {anonymous: true},
	} {
		t.Run(account, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorld(t)
			logger, log := lager.NewLogger("test"), gbytes.NewBuffer()
			logger.RegisterSink(lager.NewWriterSink(log, lager.INFO))
			w.logger, w.options.Registry = logger, buildRegistry{}
			if !c.anonymous {
				w.options.Credentials.RegistryUsername, w.options.Credentials.RegistryPassword = credentialFile(t, "irene"), credentialFile(t, "writer-hunter2")
			}
			if c.builds {
				w.options.Credentials.BuildUsername, w.options.Credentials.BuildPassword = credentialFile(t, "builder"), credentialFile(t, "builder-hunter2\nrotated")
			}
			username, password := w.staged(t)
			g.Expect([]string{username, password}).To(Equal([]string{c.username, c.password}))
			g.Expect(testutil.ToFloat64(w.metrics.accounts.WithLabelValues(account))).To(Equal(1.0))
			g.Expect(log).To(gbytes.Say("builds-registry-account"))
			if account == "irene" {
				g.Expect(log.Contents()).To(ContainSubstring("may replace stacks"))
			} else {
				g.Expect(log.Contents()).NotTo(ContainSubstring("may replace stacks"))
			}
		})
	}
}

// While the registry can't be asked, no build gets Irene's own password.
func TestNoBuildWithoutAnAnswerOfTheRegistry(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(t)
	w.options.Images, w.options.Registry = shelf{}, buildRegistry{err: fmt.Errorf("ask: %w", opi.ErrUnavailable)}
	w.options.Credentials = CredentialFiles{RegistryUsername: credentialFile(t, "irene"), RegistryPassword: credentialFile(t, "writer-hunter2")}
	g.Expect(w.Stage(context.Background(), testBuild())).To(MatchError(opi.ErrUnavailable))
	secrets, err := w.client.CoreV1().Secrets(w.options.Settings.Namespace).List(context.Background(), metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(secrets.Items).To(BeEmpty())
}
