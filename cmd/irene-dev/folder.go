package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// folder is DIR, locked for as long as it is open.
type folder struct {
	path string
	// locked holds the lock: the kernel gives it back when the process ends.
	locked *os.File
}

// Names in the folder. Nothing else in it is ever touched.
const (
	cacheName      = "cache"      // survives "down"
	stateName      = "state.json" // marks the folder as irene-dev's; goes last
	clusterName    = "cluster"    // irene-cluster's own folder
	readyName      = "ready.json" // what irene-cluster says when it is ready
	logName        = "log"
	scratchName    = "scratch" // where the root file system is made
	programsName   = "bin"     // kubectl
	ireneConfig    = "irene.yaml"
	natsPassword   = "nats-password"
	desireName     = "desire.json" // the request for the sample app
	guideName      = "guide.txt"   // all that there is to look at
	registryConfig = "registry.yaml"
	// registryContent is all that the registry holds.
	registryContent = "registry"
	credentialsName = "credentials" // users and passwords of the registry
	// cloudControllerConfig is how the stand-in of Cloud Controller was started.
	cloudControllerConfig = "cloudcontroller.args"
	certificatesName      = "certificates" // for mutual TLS between Irene and the stand-in
	appsName              = "apps"         // what was pushed
	newSuffix             = ".new"         // of what is not complete yet
)

var (
	errBusy   = errors.New("another irene-dev is at work")
	errAbsent = errors.New("nothing is there")
)

// openFolder locks DIR. With create it is made if need be; without, it is
// errAbsent unless it holds something of ours.
func openFolder(path string, create bool) (*folder, error) {
	if create {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return nil, fmt.Errorf("--dir: %w", err)
		}
	}
	locked, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errAbsent
	}
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	f := &folder{path: path, locked: locked}
	if err := f.take(create); err != nil {
		_ = locked.Close()
		return nil, err
	}
	return f, nil
}

func (f *folder) take(create bool) error {
	switch err := syscall.Flock(int(f.locked.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return fmt.Errorf("--dir %s: %w in it; wait until it is done, or end it with Ctrl-C", f.path, errBusy)
	case err != nil:
		return fmt.Errorf("lock --dir %s: %w", f.path, err)
	}
	names, err := f.locked.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	if slices.Contains(names, stateName) {
		return nil
	}
	if !create {
		return errAbsent
	}
	for _, name := range names {
		if name != cacheName {
			return fmt.Errorf("--dir %s: holds %s, which isn't irene-dev's; give irene-dev a folder of its own", f.path, name)
		}
	}
	return nil
}

func (f *folder) close() { _ = f.locked.Close() }

// at is the path of a name in the folder.
func (f *folder) at(names ...string) string {
	return filepath.Join(append([]string{f.path}, names...)...)
}

// empty removes everything of ours except the cache; folders that are empty then
// go too.
func (f *folder) empty() error {
	// The state goes last: until then a repeated "down" knows what to do.
	for _, name := range []string{clusterName, readyName, logName, scratchName, programsName, ireneConfig, natsPassword, desireName, guideName,
		registryConfig, registryContent, credentialsName, cloudControllerName, cloudControllerConfig, certificatesName, appsName, stateName + newSuffix, stateName} {
		if err := os.RemoveAll(f.at(name)); err != nil {
			return fmt.Errorf("remove: %w", err)
		}
	}
	for _, path := range []string{f.at(cacheName), f.path} {
		err := os.Remove(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("remove: %w", err)
		}
	}
	return nil
}
