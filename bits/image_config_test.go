package bits

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func TestImageConfig(t *testing.T) {
	g := NewWithT(t)
	r := newRegistry(t, "secret")
	config := v1.Config{
		Cmd: []string{"serve"}, Entrypoint: []string{"/run"}, User: "web", WorkingDir: "/srv",
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "53/udp": {}},
	}
	image, err := mutate.Config(empty.Image, config)
	check(t, err)
	reference := r.push("app", image)
	users := NewImageUsers(5*time.Second, onLoopback(t))
	g.Expect(users.Config(context.Background(), withPassword(reference, "secret"))).To(Equal(config))

	_, err = users.Config(context.Background(), opi.Image{Reference: reference})
	g.Expect(err).To(MatchError(opi.ErrRefused), "it is private")
	_, err = users.Config(context.Background(), withPassword(r.reference("missing"), "secret"))
	g.Expect(err).To(MatchError(opi.ErrRefused))
	_, err = users.Config(context.Background(), opi.Image{Reference: "not a reference"})
	g.Expect(err).To(MatchError(opi.ErrRefused))
	g.Expect(err.Error()).NotTo(ContainSubstring("secret"))
}

func TestImageConfigOfARegistryInTrouble(t *testing.T) {
	g := NewWithT(t)
	status := http.StatusTooManyRequests
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/app"
	users := NewImageUsers(5*time.Second, onLoopback(t))
	for _, status = range []int{http.StatusTooManyRequests, http.StatusBadGateway} {
		_, err := users.Config(context.Background(), opi.Image{Reference: reference})
		g.Expect(err).To(MatchError(opi.ErrUnavailable))
	}
	server.Close()
	_, err := users.Config(context.Background(), opi.Image{Reference: reference})
	g.Expect(err).To(MatchError(opi.ErrUnavailable))
}
