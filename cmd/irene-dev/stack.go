package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/irene-cf/irene/credential"
)

const (
	stackName = "teststack"
	// stackCheck is how often Irene asks for the stack's digest.
	stackCheck    = time.Second
	stackPatience = time.Minute
)

// importedStack is the file that was imported last. Whether it has changed is told
// without reading it.
type importedStack struct {
	File     string    `json:"file,omitempty"`
	Bytes    int64     `json:"bytes,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
}

func stackOf(file string) (importedStack, error) {
	info, err := os.Stat(file)
	if err != nil {
		return importedStack{}, fmt.Errorf("root file system: %w", err)
	}
	return importedStack{File: file, Bytes: info.Size(), Modified: info.ModTime().UTC()}, nil
}

// importStack makes the root file system the current one of the stack, unless that
// was done, and waits until Irene knows. What somebody imported later by hand stays.
func (c *cloud) importStack(ctx context.Context) (string, error) {
	wanted, err := stackOf(c.rootfsFile)
	if err != nil {
		return "", err
	}
	current, err := c.currentStack(ctx)
	if err != nil {
		return "", err
	}
	note := "is in the registry"
	if current == "" || c.state.Stack != wanted {
		note = "imported as " + stackName
		output, err := exec.CommandContext(ctx, c.program(ireneProgram),
			"stack", "import", "--config", c.at(ireneConfig), stackName, c.rootfsFile).CombinedOutput()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			return "", fmt.Errorf("irene stack import: %w: %s", err, strings.TrimSpace(string(output)))
		}
		c.state.Stack = wanted
		if err := c.saveState(c.state); err != nil {
			return "", err
		}
		if current, err = c.currentStack(ctx); err != nil {
			return "", err
		}
	}
	c.image.revision, err = c.awaitStack(ctx, current)
	return note, err
}

// currentStack is the digest of the stack in the registry, "" when there is none.
func (c *cloud) currentStack(ctx context.Context) (string, error) {
	registry, err := name.NewRegistry(c.state.RegistryAddress, name.Insecure)
	if err != nil {
		return "", err
	}
	password, err := credential.Read(c.passwordFile(registryReader))
	if err != nil {
		return "", err
	}
	stack, err := remote.Head(registry.Repo(registryPrefix, "stacks", stackName).Tag("latest"), remote.WithContext(ctx),
		remote.WithTransport(httpClient.Transport),
		remote.WithAuth(&authn.Basic{Username: registryReader, Password: password}))
	if refusal, ok := errors.AsType[*transport.Error](err); ok && refusal.StatusCode == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("ask the registry for the stack %s: %w", stackName, err)
	}
	return stack.Digest.String(), nil
}

// awaitStack waits until Irene's own page says that it knows the stack by this
// digest, and returns the revision that it makes of it: apps that are desired from
// then on run on it.
func (c *cloud) awaitStack(ctx context.Context, digest string) (revision string, err error) {
	limit, cancel := context.WithTimeout(ctx, stackPatience)
	defer cancel()
	err = poll(limit, func() (bool, error) {
		status, page, err := call(limit, http.MethodGet, c.observe("metrics"), nil)
		if err != nil || status != http.StatusOK {
			return false, nil
		}
		revision, err = stackRevision(page, digest)
		return revision != "", err
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return "", fmt.Errorf("irene doesn't know the stack %s of digest %s after %s; %s", stackName, digest, stackPatience, logTail(c.log(ireneProgram), 10))
	}
	return revision, err
}

// stackInfo is the metric by which Irene tells digests and revisions.
const stackInfo = "irene_stack_info"

// stackRevision finds the revision in a page of metrics, "" when it isn't there.
func stackRevision(page, digest string) (string, error) {
	families, err := parseMetrics(page)
	if err != nil {
		return "", fmt.Errorf("read irene's metrics: %w", err)
	}
	for _, metric := range families[stackInfo].GetMetric() {
		labels := map[string]string{}
		for _, label := range metric.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		if labels["stack"] == stackName && labels["digest"] == digest {
			return labels["revision"], nil
		}
	}
	return "", nil
}

// parseMetrics reads a page of metrics as call returns it, without its last line end.
func parseMetrics(page string) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(strings.NewReader(page + "\n"))
}
