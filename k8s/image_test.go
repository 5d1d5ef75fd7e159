package k8s_test

import (
	"context"
	"errors"
	"testing"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// imageUser answers for every image.
type imageUser struct {
	render.ImageUser
	err error
}

func (u imageUser) User(context.Context, opi.Image) (render.ImageUser, error) {
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
