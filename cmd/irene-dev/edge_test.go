package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	. "github.com/onsi/gomega"
)

func TestEdgeRunsNATSAndRouterUntilItIsToldToEnd(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(patience)
	c := &cloud{folder: &folder{path: t.TempDir()}}
	for _, address := range []*string{&c.state.NATS, &c.state.Router, &c.state.Status} {
		g.Expect(chooseAddress(address, "127.0.0.1:0")).To(Succeed())
	}
	g.Expect(c.configureEdge()).To(Succeed())
	password, err := os.ReadFile(c.at(natsPassword))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.configureEdge()).To(Succeed())
	g.Expect(os.ReadFile(c.at(natsPassword))).To(Equal(password), "it is made once")

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int)
	var out bytes.Buffer
	go func() { done <- command(ctx, c.edgeOptions().arguments(), &out, &out) }()
	defer cancel()
	ask := func(url, host string) func() (string, error) {
		return func() (string, error) {
			status, body, err := callHost(context.Background(), http.MethodGet, url, host, nil)
			return fmt.Sprint(status, " ", body), err
		}
	}
	g.Eventually(ask(c.status("health"), "")).Should(Equal("200 ok"))
	g.Expect(nats.Connect("nats://" + c.state.NATS)).Error().To(MatchError(nats.ErrAuthorization))
	bus, err := nats.Connect("nats://"+c.state.NATS, nats.UserInfo(natsUser, string(bytes.TrimSpace(password))))
	g.Expect(err).NotTo(HaveOccurred())
	defer bus.Close()
	message := fmt.Sprintf(`{"host":"127.0.0.1","port":%s,"uris":["status.localhost"]}`, c.state.Status[len("127.0.0.1:"):])
	g.Expect(bus.Publish("router.register", []byte(message))).To(Succeed())
	g.Eventually(ask("http://"+c.state.Router+"/health", "status.localhost")).Should(Equal("200 ok"))

	cancel()
	g.Eventually(done).Should(Receive(Equal(0)))
	g.Expect(out.String()).To(And(ContainSubstring("edge is ready"), ContainSubstring("edge stops")))
	g.Expect(out.String()).NotTo(ContainSubstring(string(bytes.TrimSpace(password))))
}

func TestEdgeSaysWhyItCannotStart(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	empty, good := filepath.Join(dir, "empty"), filepath.Join(dir, "good")
	g.Expect(os.WriteFile(empty, []byte("\n"), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(good, []byte("secret\n"), 0o600)).To(Succeed())
	o := edgeOptions{nats: "127.0.0.1:0", router: "127.0.0.1:0", status: "127.0.0.1:0", user: "u", passwordFile: good}
	for reason, change := range map[string]func(*edgeOptions){
		"is empty":               func(o *edgeOptions) { o.passwordFile = empty },
		"no such file":           func(o *edgeOptions) { o.passwordFile = filepath.Join(dir, "none") },
		"start NATS server":      func(o *edgeOptions) { o.nats = "nowhere" },
		"router: StatusAddress:": func(o *edgeOptions) { o.status = "0.0.0.0:0" },
	} {
		wrong := o
		change(&wrong)
		g.Expect(edge(context.Background(), wrong, &bytes.Buffer{})).To(MatchError(ContainSubstring(reason)))
	}
}
