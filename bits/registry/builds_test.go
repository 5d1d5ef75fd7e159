package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/irene-cf/irene/credential"
)

const dropletsName = "cloudfoundry/droplets"

// buildOf returns the name and password of a build, made with a user's password.
func (s *served) buildOf(user, password string, change ...func(*credential.Build)) (string, string) {
	s.t.Helper()
	g := NewWithT(s.t)
	build := credential.Build{GUID: "build-1", Repository: dropletsName, Expires: s.clock.Now().Add(time.Hour)}
	for _, c := range change {
		c(&build)
	}
	name, err := build.Username()
	g.Expect(err).NotTo(HaveOccurred())
	key, err := credential.NewBuildKey(user, password)
	g.Expect(err).NotTo(HaveOccurred())
	return name, key.Password(name)
}

func (s *served) asBuild() remote.Option {
	s.t.Helper()
	name, password := s.buildOf(pushUser, pushPassword)
	return remote.WithAuth(&authn.Basic{Username: name, Password: password})
}

// statusAs makes a request of the raw API as a user.
func (s *served) statusAs(name, password, method, path string, body io.Reader, header ...string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.resolve(path), body)
	NewWithT(s.t).Expect(err).NotTo(HaveOccurred())
	request.SetBasicAuth(name, password)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	status, _, text := s.do(request)
	return status, text
}

// statusOf returns the status of a refused request of the client.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		return answer.StatusCode
	}
	return 0
}

func checksumOf(digit string, length int) string { return strings.Repeat(digit, length) }

func TestABuildStoresItsDroplet(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	image := randomImage(t, 2)
	for _, tag := range []string{checksumOf("a", 64), checksumOf("b", 40)} {
		g.Expect(remote.Write(s.tag(dropletsName, tag), image, s.asBuild())).To(Succeed())
		s.expectPull(s.tag(dropletsName, tag))
		g.Expect(remote.Write(s.tag(dropletsName, tag), image, s.asBuild())).To(Succeed(), "the same once more")
		descriptor, err := remote.Head(s.tag(dropletsName, tag), s.asBuild())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(descriptor.Digest).To(Equal(digestOf(t, image)))
	}
	another := randomImage(t, 1)
	g.Expect(remote.Write(s.byDigest(dropletsName, another), another, s.asBuild())).To(Succeed())
	g.Expect(remote.WriteLayer(s.tag(dropletsName, "x").Context(), randomLayer(t, 1024, "application/octet-stream"), s.asBuild())).To(Succeed())
	g.Expect(s.log).To(gbytes.Say(`"user":"irene-build/1/\d+/build-1/cloudfoundry/droplets"`))
}

func TestABuildReplacesNothing(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	sha256, sha1 := checksumOf("a", 64), checksumOf("b", 40)
	stored := map[string]v1.Image{}
	for _, at := range [][2]string{
		{"cloudfoundry/stacks/cflinuxfs4", "latest"}, {"cloudfoundry/lifecycle", "latest"}, {"cloudfoundry/stage", "0123456789ab"},
		{"cloudfoundry/buildpacks", sha256 + "-1"}, {"cloudfoundry/another-droplet", sha1 + "-0123"}, {dropletsName, sha256}, {dropletsName, sha1},
	} {
		stored[at[0]+" "+at[1]] = s.push(at[0], at[1], randomImage(t, 1))
	}
	for at, image := range stored {
		repository, tag, _ := strings.Cut(at, " ")
		err := remote.Write(s.tag(repository, tag), randomImage(t, 1), s.asBuild())
		if repository == dropletsName {
			g.Expect(statusOf(err)).To(Equal(http.StatusConflict), "%s: %v", at, err)
		} else {
			g.Expect(statusOf(err)).To(Equal(http.StatusForbidden), "%s: %v", at, err)
			g.Expect(statusOf(remote.Tag(s.tag(repository, sha1), image, s.asBuild()))).To(Equal(http.StatusForbidden), "a new tag in %s", repository)
		}
		g.Expect(statusOf(remote.Delete(s.tag(repository, tag), s.asBuild()))).To(Equal(http.StatusForbidden), at)
		g.Expect(statusOf(remote.Delete(s.byDigest(repository, image), s.asBuild()))).To(Equal(http.StatusForbidden), at)
		kept, err := remote.Head(s.tag(repository, tag), asPuller())
		g.Expect(err).NotTo(HaveOccurred(), at)
		g.Expect(kept.Digest).To(Equal(digestOf(t, image)), at)
	}
	for _, tag := range []string{"latest", "x" + sha1, sha1 + "-0123", strings.ToUpper(sha256), checksumOf("a", 41)} {
		g.Expect(statusOf(remote.Write(s.tag(dropletsName, tag), randomImage(t, 1), s.asBuild()))).To(Equal(http.StatusForbidden), "the tag %s is no checksum", tag)
		s.expectMissing(s.tag(dropletsName, tag))
	}

	moved := randomImage(t, 1)
	g.Expect(remote.Write(s.tag(dropletsName, sha1), moved, asPusher())).To(Succeed(), "Irene itself may move a tag")
	g.Expect(remote.Write(s.tag(dropletsName, sha1), moved, s.asBuild())).To(Succeed())
}

// Of builds that set a tag at the same time, one does.
func TestBuildsRaceForATag(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	tag := s.tag(dropletsName, checksumOf("a", 64))
	images := make([]v1.Image, 8)
	for i := range images {
		images[i] = randomImage(t, 1)
		g.Expect(remote.Write(s.byDigest(dropletsName, images[i]), images[i], s.asBuild())).To(Succeed())
	}
	statuses := make([]int, len(images))
	as := s.asBuild()
	var puts sync.WaitGroup
	for i, image := range images {
		puts.Go(func() { statuses[i] = statusOf(remote.Tag(tag, image, as)) })
	}
	puts.Wait()
	winner := -1
	for i, status := range statuses {
		if status == 0 {
			g.Expect(winner).To(Equal(-1), "one wins")
			winner = i
		} else {
			g.Expect(status).To(Equal(http.StatusConflict))
		}
	}
	g.Expect(winner).NotTo(Equal(-1))
	kept, err := remote.Head(tag, asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(kept.Digest).To(Equal(digestOf(t, images[winner])))
}

func TestWhatElseABuildMayNot(t *testing.T) {
	s := serve(t, t.TempDir())
	name, password := s.buildOf(pushUser, pushPassword)
	stack := s.push("cloudfoundry/stacks/cflinuxfs4", "latest", randomImage(t, 1))
	droplet := s.push(dropletsName, checksumOf("a", 64), randomImage(t, 1))
	layers, err := droplet.Layers()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	stackLayers, err := stack.Layers()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	blob, stackBlob := digestOf(t, layers[0]).String(), digestOf(t, stackLayers[0]).String()
	mount := url.Values{"mount": {stackBlob}, "from": {"cloudfoundry/stacks/cflinuxfs4"}}.Encode()
	droplets := "/v2/" + dropletsName
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for what, c := range map[string]struct {
		method, path, body string
		header             []string
	}{
		"list repositories":               {method: "GET", path: "/v2/_catalog"},
		"list tags":                       {method: "GET", path: droplets + "/tags/list"},
		"read another app's droplet":      {method: "GET", path: droplets + "/blobs/" + blob},
		"delete a blob":                   {method: "DELETE", path: droplets + "/blobs/" + blob},
		"mount from the stack":            {method: "POST", path: droplets + "/blobs/uploads/?" + mount},
		"mount by a form":                 {method: "POST", path: droplets + "/blobs/uploads/", body: mount, header: form},
		"mount into the stack":            {method: "POST", path: "/v2/cloudfoundry/stacks/cflinuxfs4/blobs/uploads/?mount=" + blob + "&from=" + url.QueryEscape(dropletsName)},
		"find out a mount's source":       {method: "POST", path: droplets + "/blobs/uploads/?from=" + url.QueryEscape(dropletsName)},
		"look at an upload":               {method: "GET", path: droplets + "/blobs/uploads/0a1b"},
		"cancel an upload":                {method: "DELETE", path: droplets + "/blobs/uploads/0a1b"},
		"read the stack":                  {method: "GET", path: "/v2/cloudfoundry/stacks/cflinuxfs4/manifests/latest"},
		"look for the stack's layer":      {method: "HEAD", path: "/v2/cloudfoundry/stacks/cflinuxfs4/blobs/" + stackBlob},
		"upload to the stack":             {method: "POST", path: "/v2/cloudfoundry/stacks/cflinuxfs4/blobs/uploads/"},
		"a repository below":              {method: "POST", path: droplets + "/x/blobs/uploads/"},
		"a repository with the same end":  {method: "POST", path: "/v2/x/" + dropletsName + "/blobs/uploads/"},
		"another case":                    {method: "POST", path: "/v2/cloudfoundry/Droplets/blobs/uploads/"},
		"a folder above":                  {method: "GET", path: droplets + "/../stacks/cflinuxfs4/manifests/latest"},
		"a folder above, encoded":         {method: "GET", path: droplets + "/%2e%2e/stacks/cflinuxfs4/manifests/latest"},
		"an encoded slash":                {method: "GET", path: "/v2/cloudfoundry%2Fstacks/cflinuxfs4/manifests/latest"},
		"slashes":                         {method: "GET", path: "/v2//cloudfoundry/droplets//../stacks/cflinuxfs4/manifests/latest"},
		"a path that is none":             {method: "GET", path: "/v2/" + dropletsName},
		"something else":                  {method: "GET", path: "/"},
		"another method":                  {method: "PATCH", path: droplets + "/manifests/" + checksumOf("c", 64)},
		"another method for a blob":       {method: "PUT", path: droplets + "/blobs/" + blob},
		"write where only a login is due": {method: "POST", path: "/v2/"},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			if c.body == "" {
				// As it is, which Go's own client would clean.
				g.Expect(s.answer(c.method, c.path, authorization(name, password))).To(Equal(http.StatusForbidden))
				return
			}
			status, text := s.statusAs(name, password, c.method, c.path, strings.NewReader(c.body), c.header...)
			g.Expect(status).To(Equal(http.StatusForbidden), text)
		})
	}
	g := NewWithT(t)
	status, _ := s.statusAs(name, password, "HEAD", droplets+"/blobs/"+blob, nil)
	g.Expect(status).To(Equal(http.StatusOK), "a build asks whether a blob is there")
	status, _ = s.statusAs(name, password, "HEAD", droplets+"/blobs/"+stackBlob, nil)
	g.Expect(status).To(Equal(http.StatusNotFound), "nothing was mounted")
	status, _ = s.statusAs(name, password, "GET", "/v2/", nil)
	g.Expect(status).To(Equal(http.StatusOK))
}

func TestCredentialsOfBuildsThatAreNoGood(t *testing.T) {
	s := serve(t, t.TempDir())
	name, password := s.buildOf(pushUser, pushPassword)
	for what, pair := range map[string][2]string{
		"no password":              {name, ""},
		"another password":         {name, strings.Repeat("0", len(password))},
		"upper case":               {name, strings.ToUpper(password)},
		"the writer's password":    {name, pushPassword},
		"another build":            {strings.Replace(name, "build-1", "build-2", 1), password},
		"another repository":       {strings.Replace(name, "droplets", "stage", 1), password},
		"a repository below":       {name + "/x", password},
		"a later end":              {strings.Replace(name, "build/1/1", "build/1/2", 1), password},
		"another form":             {strings.Replace(name, "build/1/", "build/2/", 1), password},
		"something in front":       {" " + name, password},
		"something behind":         {name + " ", password},
		"the name of a user":       {pushUser, password},
		"the reader's password":    func() [2]string { n, p := s.buildOf(pullUser, pullPassword); return [2]string{n, p} }(),
		"the name of another user": func() [2]string { n, p := s.buildOf(pullUser, pushPassword); return [2]string{n, p} }(),
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(pair).NotTo(Equal([2]string{name, password}))
			for _, path := range []string{"/v2/", "/v2/" + dropletsName + "/manifests/x"} {
				status, _ := s.statusAs(pair[0], pair[1], "GET", path, nil)
				g.Expect(status).To(Equal(http.StatusUnauthorized))
			}
		})
	}
}

func TestCredentialsOfBuildsEnd(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	name, password := s.buildOf(pushUser, pushPassword)
	status := func() int {
		status, _ := s.statusAs(name, password, "GET", "/v2/", nil)
		return status
	}
	s.clock.Step(time.Hour - 2*time.Second)
	g.Expect(status()).To(Equal(http.StatusOK))
	s.clock.Step(2 * time.Second)
	g.Expect(status()).To(Equal(http.StatusUnauthorized))
	_, text := s.statusAs(name, password, "GET", "/v2/", nil)
	g.Expect(text).To(ContainSubstring("this build's credential has expired"))
}

// A build keeps its credential while the writer's password is changed, as
// docs/registry.md has it.
func TestBuildsOutliveAChangeOfThePassword(t *testing.T) {
	g := NewWithT(t)
	file := writeFile(t, filepath.Join(t.TempDir(), "password"), "alpha\n")
	s := serve(t, t.TempDir(), func(o *Options) { o.Users = []User{{Name: pushUser, PasswordFile: file}} })
	name, alpha := s.buildOf(pushUser, "alpha")
	_, omega := s.buildOf(pushUser, "omega")
	statuses := func() []int {
		var all []int
		for _, password := range []string{alpha, omega} {
			status, _ := s.statusAs(name, password, "GET", "/v2/", nil)
			all = append(all, status)
		}
		return all
	}
	g.Expect(statuses()).To(Equal([]int{200, 401}))
	for _, step := range []struct {
		content string
		want    []int
	}{{"alpha\nomega", []int{200, 200}}, {"omega\nalpha", []int{200, 200}}, {"omega", []int{401, 200}}} {
		writeFile(t, file, step.content)
		s.clock.Step(2 * time.Second)
		g.Expect(statuses()).To(Equal(step.want), "%q", step.content)
	}
}

// Irene finds out by GET /v2/ whether builds can have credentials of their own.
func TestTheRegistryShowsThatItTakesCredentialsOfBuilds(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	_, header, _ := s.call("GET", "/v2/", nil)
	g.Expect(header.Get(credential.BuildsHeader)).NotTo(BeEmpty())
	response, err := http.Get(s.resolve("/v2/"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(response.Body.Close()).To(Succeed())
	g.Expect(response.StatusCode).To(Equal(http.StatusUnauthorized))
	g.Expect(response.Header.Get(credential.BuildsHeader)).To(BeEmpty(), "strangers learn nothing")
}

func TestManifestsThatAreTooLarge(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	name, password := s.buildOf(pushUser, pushPassword)
	for _, who := range [][2]string{{pushUser, pushPassword}, {name, password}} {
		status, text := s.statusAs(who[0], who[1], "PUT", "/v2/"+dropletsName+"/manifests/"+checksumOf("a", 64),
			strings.NewReader(strings.Repeat(" ", maxManifestBytes+1)), "Content-Type", "application/vnd.oci.image.manifest.v1+json")
		g.Expect(status).To(Equal(http.StatusRequestEntityTooLarge), text)
	}
}

// A client that sends its manifest slowly holds up no other.
func TestASlowManifestHoldsUpNoOther(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	name, password := s.buildOf(pushUser, pushPassword)
	content, slow := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, s.resolve("/v2/"+dropletsName+"/manifests/"+checksumOf("b", 64)), content)
	g.Expect(err).NotTo(HaveOccurred())
	request.SetBasicAuth(name, password)
	ended := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			err = response.Body.Close()
		}
		ended <- err
	}()
	_, err = fmt.Fprint(slow, "{")
	g.Expect(err).NotTo(HaveOccurred())
	for _, as := range []remote.Option{s.asBuild(), asPusher()} {
		g.Expect(remote.Write(s.tag(dropletsName, checksumOf("a", 64)), randomImage(t, 1), as, remote.WithContext(ctx))).To(Succeed())
	}
	g.Expect(slow.Close()).To(Succeed())
	g.Expect(<-ended).To(Succeed())
}
