package builds

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/stager"
)

// CredentialFiles are paths of the files that pods get; "" if unset.
type CredentialFiles struct {
	Certificate, Key, Authorities string
	// RegistryUsername and RegistryPassword are Irene's own account, which may write
	// everything.
	RegistryUsername, RegistryPassword string
	// BuildUsername and BuildPassword are an account for all builds, which should be able
	// to write droplets only. It counts where the registry takes no credentials of single
	// builds.
	BuildUsername, BuildPassword string
	RegistryAuthorities          string
}

// Read reads all files again, so that a rotation counts from the next build on.
func (f CredentialFiles) Read() (stager.Credentials, error) {
	var c stager.Credentials
	for _, file := range []struct {
		path    string
		content *[]byte
	}{
		{f.Certificate, &c.Certificate}, {f.Key, &c.Key}, {f.Authorities, &c.Authorities}, {f.RegistryAuthorities, &c.RegistryAuthorities},
	} {
		if file.path == "" {
			continue
		}
		content, err := os.ReadFile(file.path)
		if err != nil {
			return stager.Credentials{}, fmt.Errorf("read what staging pods log in with: %w", err)
		}
		*file.content = content
	}
	username, password, err := f.readRegistry(f.BuildUsername, f.BuildPassword)
	if err == nil && username == "" {
		username, password, err = f.readRegistry(f.RegistryUsername, f.RegistryPassword)
	}
	if err != nil || username == "" {
		return c, err
	}
	c.RegistryUsername, c.RegistryPassword = []byte(username), []byte(password)
	return c, nil
}

// readRegistry returns "" where no files are named.
func (CredentialFiles) readRegistry(usernameFile, passwordFile string) (username, password string, err error) {
	if usernameFile == "" && passwordFile == "" {
		return "", "", nil
	}
	if username, password, err = credential.ReadPair(usernameFile, passwordFile); err != nil {
		return "", "", fmt.Errorf("read what staging pods log in with: %w", err)
	}
	return username, password, nil
}

// scopeMargin is how much longer a build's credential is good than the build may take:
// for clocks that differ, and for pods that end slowly.
const scopeMargin = 15 * time.Minute

// scoped returns the credential of one build, made with Irene's own account.
func (f CredentialFiles) scoped(build credential.Build) (username, password string, err error) {
	writer, secret, err := f.readRegistry(f.RegistryUsername, f.RegistryPassword)
	if err != nil {
		return "", "", err
	}
	key, err := credential.NewBuildKey(writer, secret)
	if err != nil {
		return "", "", err
	}
	if username, err = build.Username(); err != nil {
		return "", "", err
	}
	return username, key.Password(username), nil
}

// BuildRegistry finds out what credentials the registry takes.
type BuildRegistry interface {
	// BuildRepository returns the repository that builds push to if the registry takes
	// credentials of single builds, and "" if it does not. Errors wrap opi.ErrUnavailable.
	BuildRepository(ctx context.Context) (string, error)
}

// Accounts with which builds log in to the registry.
const (
	accountOfBuild  = "build"
	accountOfBuilds = "builds"
	accountOfIrene  = "irene"
	noAccount       = "none"
)

// credentialsFor returns what the pod of a build gets, with a registry credential for this
// build alone where the registry takes such.
func (b *Builds) credentialsFor(ctx context.Context, guid string) (stager.Credentials, error) {
	credentials, err := b.options.Credentials.Read()
	if err != nil {
		return stager.Credentials{}, err
	}
	account := accountOfIrene
	switch {
	case b.options.Credentials.RegistryUsername == "" && b.options.Credentials.BuildUsername == "":
		account = noAccount
	case b.options.Credentials.BuildUsername != "":
		account = accountOfBuilds
	}
	if b.options.Registry != nil && b.options.Credentials.RegistryUsername != "" {
		repository, err := b.options.Registry.BuildRepository(ctx)
		if err != nil {
			return stager.Credentials{}, err
		}
		if repository != "" {
			end := b.jobs.Now().Add(b.options.Settings.Limits.Deadline + b.options.Settings.Limits.SchedulingPatience + scopeMargin)
			username, password, err := b.options.Credentials.scoped(credential.Build{GUID: guid, Repository: repository, Expires: end})
			if err != nil {
				return stager.Credentials{}, err
			}
			credentials.RegistryUsername, credentials.RegistryPassword = []byte(username), []byte(password)
			account = accountOfBuild
		}
	}
	b.accounts.note(b.logger, account)
	b.metrics.accounts.WithLabelValues(account).Inc()
	return credentials, nil
}

// accounts remembers the account of the last build, to log changes only.
type accounts struct{ last atomic.Pointer[string] }

func (a *accounts) note(logger lager.Logger, account string) {
	if last := a.last.Swap(&account); last != nil && *last == account {
		return
	}
	data := lager.Data{"account": account}
	if account == accountOfIrene {
		data["consequence"] = "each build's Secret has the password of registry.username_file, who may replace stacks and all apps' images"
		data["remedy"] = "set registry.build_username_file, or upgrade Irene's own registry"
	}
	logger.Info("builds-registry-account", data)
}
