package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// repository is a Debian repository as apt's sources name it.
type repository struct {
	uri, suite string
}

func (r repository) line() string { return "deb " + r.uri + " " + r.suite + " main" }

// debianRepositories are those of rootfsSuite on the mirrors that this machine's
// apt is configured for.
func debianRepositories(ctx context.Context) ([]repository, error) {
	output, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(ORIGIN)|$(CODENAME)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return nil, fmt.Errorf("ask apt-get for this machine's repositories: %w", err)
	}
	found := parseRepositories(string(output))
	if len(found) == 0 {
		return nil, errors.New("this machine's apt knows no Debian repository (run apt-get update if it should); bring a root file system along with --rootfs FILE")
	}
	return found, nil
}

// parseRepositories picks Debian's own repositories out of apt's list, for the
// release rootfsSuite, whichever release this machine runs: a mirror has them all.
func parseRepositories(list string) []repository {
	var found []repository
	known := map[repository]bool{}
	for line := range strings.Lines(list) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 5 {
			continue
		}
		origin, codename, release, component, uri := fields[0], fields[1], fields[2], fields[3], fields[4]
		if strings.HasPrefix(codename, "$(") {
			codename = release
		}
		// A repository whose lists were never fetched has no origin yet; mmdebstrap
		// checks its signature against Debian's keys anyway.
		if component != "main" || origin != "Debian" && !strings.HasPrefix(origin, "$(") {
			continue
		}
		_, kind, _ := strings.Cut(codename, "-")
		if kind != "" && kind != "updates" && kind != "security" {
			continue
		}
		suite := rootfsSuite
		if kind != "" {
			suite += "-" + kind
		}
		if r := (repository{uri: uri, suite: suite}); !known[r] {
			known[r] = true
			found = append(found, r)
		}
	}
	return found
}

// aptProxies are the proxy settings of this machine's apt, as its configuration
// has them: mmdebstrap's apt doesn't read that.
func aptProxies(ctx context.Context) ([]string, error) {
	output, err := exec.CommandContext(ctx, "apt-config", "dump", "--format", `%F "%v";%n`, "Acquire").Output()
	if err != nil {
		return nil, fmt.Errorf("ask apt-config for this machine's proxies: %w", err)
	}
	return parseProxies(string(output)), nil
}

func parseProxies(settings string) []string {
	var found []string
	for line := range strings.Lines(settings) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, " ")
		lower := strings.ToLower(name)
		isProxy := strings.HasPrefix(lower, "acquire::http::proxy") || strings.HasPrefix(lower, "acquire::https::proxy")
		if isProxy && value != `"";` {
			found = append(found, line)
		}
	}
	return found
}
