package registry

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
)

func TestNobodyGetsInWithoutAUsersPassword(t *testing.T) {
	s := serve(t, t.TempDir())
	s.push("cloudfoundry/app", "one", randomImage(t, 1))
	for name, change := range map[string]func(*http.Request){
		"nothing":               func(*http.Request) {},
		"another password":      func(r *http.Request) { r.SetBasicAuth(pushUser, pushPassword+"x") },
		"no password":           func(r *http.Request) { r.SetBasicAuth(pushUser, "") },
		"the other's password":  func(r *http.Request) { r.SetBasicAuth(pushUser, pullPassword) },
		"unknown user":          func(r *http.Request) { r.SetBasicAuth("nobody", pushPassword) },
		"no user":               func(r *http.Request) { r.SetBasicAuth("", "") },
		"another kind":          func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+pushPassword) },
		"something not decoded": func(r *http.Request) { r.Header.Set("Authorization", "Basic !!") },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/cloudfoundry/app/manifests/one", "/v2/cloudfoundry/app/tags/list", "/elsewhere"} {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.resolve(path), nil)
				g.Expect(err).NotTo(HaveOccurred())
				change(request)
				status, header, body := s.do(request)
				g.Expect(status).To(Equal(http.StatusUnauthorized), path)
				g.Expect(header.Get("WWW-Authenticate")).To(Equal(`Basic realm="irene"`))
				g.Expect(header.Get("Docker-Distribution-API-Version")).To(Equal("registry/2.0"))
				g.Expect(body).To(ContainSubstring(`"code":"UNAUTHORIZED"`))
			}
		})
	}
}

func TestTheClientTellsWhatIsWrong(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	_, err := remote.Image(s.tag("cloudfoundry/app", "one"), remote.WithAuth(authn.Anonymous))
	g.Expect(err).To(MatchError(ContainSubstring("UNAUTHORIZED: a user's name and password are required")))

	s.push("cloudfoundry/app", "one", randomImage(t, 1))
	err = remote.Write(s.tag("cloudfoundry/app", "one"), randomImage(t, 1), asPuller())
	g.Expect(err).To(MatchError(ContainSubstring("DENIED: this user may only read")))
	err = remote.Delete(s.tag("cloudfoundry/app", "one"), asPuller())
	refused := new(transport.Error)
	g.Expect(err).To(BeAssignableToTypeOf(refused))
	g.Expect(err.(*transport.Error).StatusCode).To(Equal(http.StatusForbidden))
	s.expectPull(s.tag("cloudfoundry/app", "one"))
}

func TestPasswordsAreReadAgain(t *testing.T) {
	g := NewWithT(t)
	file := writeFile(t, filepath.Join(t.TempDir(), "password"), "alpha\n")
	s := serve(t, t.TempDir(), func(o *Options) { o.Users = []User{{Name: pushUser, PasswordFile: file}} })
	status := func(password string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.resolve("/v2/"), nil)
		g.Expect(err).NotTo(HaveOccurred())
		request.SetBasicAuth(pushUser, password)
		status, _, _ := s.do(request)
		return status
	}
	g.Expect([]int{status("alpha"), status("omega")}).To(Equal([]int{200, 401}))

	writeFile(t, file, "omega\r\nalpha\n")
	s.clock.Step(2 * time.Second)
	g.Expect([]int{status("alpha"), status("omega")}).To(Equal([]int{200, 200}), "while clients change over")
	writeFile(t, file, "omega")
	s.clock.Step(2 * time.Second)
	g.Expect([]int{status("alpha"), status("omega"), status("")}).To(Equal([]int{401, 200, 401}))

	writeFile(t, file, "\n")
	s.clock.Step(2 * time.Second)
	g.Expect([]int{status("omega"), status("")}).To(Equal([]int{200, 401}), "an empty file changes nothing")
	g.Expect(os.Remove(file)).To(Succeed())
	s.clock.Step(2 * time.Second)
	g.Expect(status("omega")).To(Equal(200))
	g.Expect(s.log).To(gbytes.Say("reload-failed.*holds no value"))
	g.Expect(s.log.Contents()).NotTo(ContainSubstring("omega"), "passwords are never logged")
}

func TestAnonymous(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir(), func(o *Options) { o.Users, o.Anonymous = nil, true })
	g.Expect(remote.Write(s.tag("cloudfoundry/app", "one"), randomImage(t, 1), remote.WithAuth(authn.Anonymous))).To(Succeed())
}
