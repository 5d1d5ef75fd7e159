package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/irene-cf/irene/fixtures/router"
)

const (
	preferredRouter = "127.0.0.1:8080"
	preferredNATS   = "127.0.0.1:4222"
	preferredStatus = "127.0.0.1:8082"
	natsUser        = "irene"
	// edgeName is the log of the edge.
	edgeName = "edge"
	edgeStop = 10 * time.Second
)

// startEdge starts NATS and the router, which are one process, and waits until the
// router is there. Irene finds NATS again by itself when it was away.
func (c *cloud) startEdge(ctx context.Context) (string, error) {
	if !c.state.Edge.alive() {
		if err := errors.Join(
			chooseAddress(&c.state.NATS, preferredNATS),
			chooseAddress(&c.state.Router, preferredRouter),
			chooseAddress(&c.state.Status, preferredStatus),
		); err != nil {
			return "", err
		}
	}
	note, err := c.keep(ctx, service{
		name: edgeName, process: &c.state.Edge, program: c.program(devProgram), args: c.edgeOptions().arguments(),
		configured: c.edgeConfigured, configure: c.configureEdge, readyURL: c.status("health"), stop: edgeStop,
	})
	if err != nil {
		return "", err
	}
	return note + ", listening on " + c.state.Router, nil
}

func (c *cloud) edgeConfigured() (bool, error) {
	_, err := os.Stat(c.at(natsPassword))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// configureEdge makes the password of NATS, once.
func (c *cloud) configureEdge() error {
	if done, err := c.edgeConfigured(); done || err != nil {
		return err
	}
	return os.WriteFile(c.at(natsPassword), []byte(rand.Text()+"\n"), 0o600)
}

func (c *cloud) edgeOptions() edgeOptions {
	return edgeOptions{
		nats: c.state.NATS, user: natsUser, passwordFile: c.at(natsPassword), router: c.state.Router, status: c.state.Status,
	}
}

// status is the URL of a page that says what the router knows.
func (c *cloud) status(page string) string { return "http://" + c.state.Status + "/" + page }

// routes is the router's table: who answers for a host name.
func (c *cloud) routes(ctx context.Context) (map[string][]router.Registration, error) {
	status, page, err := call(ctx, http.MethodGet, c.status("routes"), nil)
	if err != nil {
		return nil, err
	}
	var table map[string][]router.Registration
	if status != http.StatusOK {
		return nil, fmt.Errorf("the router's table: %d %s", status, page)
	}
	if err := json.Unmarshal([]byte(page), &table); err != nil {
		return nil, fmt.Errorf("the router's table: %w", err)
	}
	return table, nil
}
