package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/irene-cf/irene/fixtures/natsserver"
	"github.com/irene-cf/irene/fixtures/router"
)

// edgeOptions are the command line of "edge".
type edgeOptions struct {
	// nats, router and status are addresses to listen on, host:port.
	nats, router, status string
	user, passwordFile   string
}

func parseEdgeOptions(args []string) (edgeOptions, error) {
	var o edgeOptions
	flags := flag.NewFlagSet("edge", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	settings := map[string]*string{
		"nats": &o.nats, "router": &o.router, "status": &o.status, "user": &o.user, "password-file": &o.passwordFile,
	}
	for name, value := range settings {
		flags.StringVar(value, name, "", "")
	}
	return o, parseAll(flags, args, "nats", "user", "password-file", "router", "status")
}

// arguments are the command line of which these are the options.
func (o edgeOptions) arguments() []string {
	return []string{"edge", "--nats", o.nats, "--user", o.user, "--password-file", o.passwordFile, "--router", o.router, "--status", o.status}
}

// edge runs NATS and the router until ctx ends. That is what stands between clients
// and the app, and what a real cloud has of its own.
func edge(ctx context.Context, o edgeOptions, out io.Writer) error {
	password, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return fmt.Errorf("edge: --password-file: %w", err)
	}
	secret := strings.TrimSpace(string(password))
	if secret == "" {
		return fmt.Errorf("edge: --password-file: %s is empty", o.passwordFile)
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	bus, err := natsserver.Start(natsserver.Options{Address: o.nats, User: o.user, Password: secret, Log: log.With("of", "nats")})
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	defer bus.Stop()
	r, err := router.Start(router.Options{
		NATS: bus.URL(), User: o.user, Password: secret, Address: o.router, StatusAddress: o.status, Log: log.With("of", "router"),
	})
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	defer r.Stop()
	log.Info("edge is ready", "nats", bus.URL(), "router", r.URL(), "status", r.StatusURL())
	<-ctx.Done()
	log.Info("edge stops")
	return nil
}
