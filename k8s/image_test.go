package k8s_test

import (
	"context"
	"errors"
	"testing"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// imageUser answers for every image.
type imageUser struct {
	render.ImageUser
	err error
}

func (u imageUser) User(context.Context, opi.Image, string) (render.ImageUser, error) {
	return u.ImageUser, u.err
}

func TestDockerImageWithoutCommand(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		user    imageUser
		refused bool
	}{
		"neither has one":           {nil, imageUser{ImageUser: render.ImageUser{NoCommand: true}}, true},
		"the app has one":           {[]string{"/run"}, imageUser{ImageUser: render.ImageUser{NoCommand: true}}, false},
		"the image has one":         {nil, imageUser{}, false},
		"the image can't be looked": {nil, imageUser{ImageUser: render.ImageUser{NoCommand: true}, err: errors.New("timeout")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lrps := k8s.New(k8s.Options{Users: c.user, Logger: lager.NewLogger("test")})
			_, err := lrps.ResolveTaskImage(t.Context(), opi.Task{
				RootFS: opi.RootFS{Image: &opi.Image{Reference: "org/app"}}, Process: opi.Process{Command: c.command},
			})
			if !c.refused {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(opi.ErrRefused))
			g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveValue(Equal(opi.FieldError{Field: "rootFS.image", Reason: opi.ImageHasNoCommand}))))
		})
	}
}

// namedUsers finds one user by name.
type namedUsers map[string]int64

func (u namedUsers) User(_ context.Context, _ opi.Image, name string) (render.ImageUser, error) {
	if uid, found := u[name]; found {
		return render.ImageUser{UID: &uid}, nil
	}
	return render.ImageUser{}, opi.ErrUnavailable
}

func TestUsersOfTasksByName(t *testing.T) {
	users := namedUsers{"nginx": 101}
	for name, c := range map[string]struct {
		user       string
		namespaces bool
		uid        *int64
		fails      bool
	}{
		"by name":                           {user: "nginx", uid: ptr.To(int64(101))},
		"by name in a user namespace":       {user: "nginx", namespaces: true, uid: ptr.To(int64(101))},
		"unknown":                           {user: "other", fails: true},
		"unknown in a user namespace":       {user: "other", namespaces: true},
		"root, which is the image's own":    {user: "root"},
		"by number, which needs no look-up": {user: "1000"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lrps := k8s.New(k8s.Options{Users: users, Settings: render.Settings{UserNamespaces: c.namespaces}, Logger: lager.NewLogger("test")})
			image, awaited, err := lrps.FindTaskImage(t.Context(), opi.Task{
				RootFS: opi.RootFS{Image: &opi.Image{Reference: "org/app"}}, Process: opi.Process{Command: []string{"run"}, User: c.user},
			})
			if c.fails {
				g.Expect(err).To(MatchError(opi.ErrUnavailable))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(awaited).To(BeFalse())
			g.Expect(image.User.UID).To(Equal(c.uid))
		})
	}
}
