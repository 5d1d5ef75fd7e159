package stager

import (
	"fmt"
	"os"

	"github.com/irene-cf/irene/credential"
)

// CredentialFiles are paths of what pods show; "" where there is none.
type CredentialFiles struct {
	Certificate, Key, Authorities                           string
	RegistryUsername, RegistryPassword, RegistryAuthorities string
}

// Read reads all files anew, so that a rotation counts from the next build on.
func (f CredentialFiles) Read() (Credentials, error) {
	var c Credentials
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
			return Credentials{}, fmt.Errorf("read what staging pods log in with: %w", err)
		}
		*file.content = content
	}
	if f.RegistryUsername == "" && f.RegistryPassword == "" {
		return c, nil
	}
	username, password, err := credential.ReadPair(f.RegistryUsername, f.RegistryPassword)
	if err != nil {
		return Credentials{}, fmt.Errorf("read what staging pods log in with: %w", err)
	}
	c.RegistryUsername, c.RegistryPassword = []byte(username), []byte(password)
	return c, nil
}
