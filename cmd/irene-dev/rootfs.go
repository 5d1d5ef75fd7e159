package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// rootfsSuite is the Debian release of the root file system that is made.
	rootfsSuite = "bookworm"
	// maker makes it; Debian's package has the same name.
	maker = "mmdebstrap"
	// makerPatience is how long it may take to clean up when interrupted.
	makerPatience = 20 * time.Second
)

// makeRootFS makes a small Debian with bash and the authorities' certificates,
// once: it is kept in the cache.
func (c *cloud) makeRootFS(ctx context.Context) (string, error) {
	if c.rootfs != "" {
		c.rootfsFile = c.rootfs
		return "as given: " + c.rootfs, nil
	}
	c.rootfsFile = c.at(cacheName, rootfsSuite+".tar")
	if _, err := os.Stat(c.rootfsFile); err == nil {
		return "is in the cache", nil
	}
	for _, name := range []string{cacheName, scratchName} {
		if err := os.MkdirAll(c.at(name), 0o755); err != nil {
			return "", err
		}
	}
	note := "Debian " + rootfsSuite + " made"
	if _, err := exec.LookPath(maker); err != nil {
		if err := c.install(ctx, maker); err != nil {
			return "", err
		}
		note += ", " + maker + " installed"
	}
	repositories, err := debianRepositories(ctx)
	if err != nil {
		return "", err
	}
	// A half-made file must never be taken for a whole one.
	unfinished := c.at(scratchName, "rootfs.tar")
	if err := c.runMaker(ctx, repositories, unfinished); err != nil {
		return "", err
	}
	if err := os.Rename(unfinished, c.rootfsFile); err != nil {
		return "", err
	}
	return note, os.RemoveAll(c.at(scratchName))
}

// runMaker makes the root file system from the repositories as a tar at file.
func (c *cloud) runMaker(ctx context.Context, repositories []repository, file string) error {
	arguments := []string{
		"--variant=apt", "--mode=root", "--format=tar", "--include=ca-certificates,bash",
		// Below a home folder apt's own user couldn't read what it downloads.
		`--aptopt=APT::Sandbox::User "root"`,
	}
	for _, folder := range []string{"doc", "man", "locale", "info"} {
		arguments = append(arguments, "--dpkgopt=path-exclude=/usr/share/"+folder+"/*")
	}
	proxies, err := aptProxies(ctx)
	if err != nil {
		return err
	}
	for _, proxy := range proxies {
		arguments = append(arguments, "--aptopt="+proxy)
	}
	// An app needs neither this machine's mirrors and proxies nor apt's settings; it
	// needs the user that it runs as.
	arguments = append(arguments,
		`--customize-hook=rm -f "$1/etc/apt/sources.list" "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap"`,
		`--customize-hook=echo vcap:x:2000:2000:vcap:/home/vcap:/bin/bash >> "$1/etc/passwd"; echo vcap:x:2000: >> "$1/etc/group"`,
		rootfsSuite, file, "-")
	var sources strings.Builder
	for _, repository := range repositories {
		fmt.Fprintln(&sources, repository.line())
	}
	command := exec.CommandContext(ctx, maker, arguments...)
	command.Stdin = strings.NewReader(sources.String())
	command.Env = append(os.Environ(), "TMPDIR="+c.at(scratchName))
	command.SysProcAttr = &syscall.SysProcAttr{
		// Ctrl-C reaches irene-dev alone, which then asks the whole group to end.
		Setpgid:   true,
		Pdeathsig: syscall.SIGTERM,
		// What it mounts below the scratch folder must be seen by nobody else, above
		// all not by "down", which removes that folder.
		Unshareflags: syscall.CLONE_NEWNS,
	}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = makerPatience
	return c.logged(command, "rootfs")
}

// install installs a Debian package, after reading the package lists anew if it
// isn't known.
func (c *cloud) install(ctx context.Context, pkg string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s is missing and this machine has no apt-get to install it with; install it, or bring a root file system along with --rootfs FILE", pkg)
	}
	apt := func(arguments ...string) error {
		command := exec.CommandContext(ctx, "apt-get", arguments...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		return c.logged(command, "apt")
	}
	install := []string{"install", "-y", "--no-install-recommends", pkg}
	if apt(install...) == nil {
		return nil
	}
	if err := apt("update"); err != nil {
		return err
	}
	return apt(install...)
}

// logged runs a command with its output in a log, whose end is in the error.
func (c *cloud) logged(command *exec.Cmd, log string) error {
	file, err := openLog(c.log(log))
	if err != nil {
		return err
	}
	defer file.Close()
	command.Stdout, command.Stderr = file, file
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w; %s", filepath.Base(command.Path), err, logTail(c.log(log), 20))
	}
	return nil
}
