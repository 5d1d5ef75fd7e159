package bits

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// fixedSource returns one answer, and keeps what it was asked for.
type fixedSource struct {
	text  string
	err   error
	asked []opi.Droplet
}

// Open implements DropletSource.
func (s *fixedSource) Open(_ context.Context, droplet opi.Droplet, _ string) (io.ReadCloser, error) {
	s.asked = append(s.asked, droplet)
	if s.err != nil {
		return nil, s.err
	}
	return io.NopCloser(strings.NewReader(s.text)), nil
}

func TestDropletSources(t *testing.T) {
	plain := opi.Droplet{Checksum: opi.Checksum{Algorithm: "sha1", Value: "abc"}}
	withURL := plain
	withURL.URL = "https://cloud-controller.example/droplet"
	gone := errors.New("gone")
	open := func(s DropletSources, droplet opi.Droplet) (string, error) {
		content, err := s.Open(t.Context(), droplet, "process")
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(content)
		return string(text), errors.Join(err, content.Close())
	}
	t.Run("the URL of the request comes first", func(t *testing.T) {
		g := NewWithT(t)
		configured := &fixedSource{text: "configured"}
		s := DropletSources{Requested: &fixedSource{text: "requested"}, Configured: configured}
		g.Expect(open(s, withURL)).To(Equal("requested"))
		g.Expect(configured.asked).To(BeEmpty())
		g.Expect(open(s, plain)).To(Equal("configured"))
	})
	t.Run("a URL that has expired costs nothing", func(t *testing.T) {
		g := NewWithT(t)
		configured := &fixedSource{text: "configured"}
		g.Expect(open(DropletSources{Requested: &fixedSource{err: gone}, Configured: configured}, withURL)).To(Equal("configured"))
		g.Expect(configured.asked).To(Equal([]opi.Droplet{plain}), "the URL is not asked for twice")
	})
	t.Run("nothing is configured", func(t *testing.T) {
		g := NewWithT(t)
		_, err := open(DropletSources{Requested: &fixedSource{err: gone}}, withURL)
		g.Expect(err).To(MatchError(gone))
		_, err = open(DropletSources{Requested: &fixedSource{text: "x"}}, plain)
		g.Expect(err).To(MatchError(opi.ErrRefused))
		g.Expect(opi.Message(err)).To(ContainSubstring("stage the app again"))
	})
	t.Run("both fail", func(t *testing.T) {
		g := NewWithT(t)
		_, err := open(DropletSources{Requested: &fixedSource{err: gone}, Configured: &fixedSource{err: opi.ErrUnavailable}}, withURL)
		g.Expect(err).To(MatchError(gone))
		g.Expect(err).To(MatchError(opi.ErrUnavailable))
	})
}
