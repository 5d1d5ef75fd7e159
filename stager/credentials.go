package stager

import (
	"bytes"
	"fmt"
	"os"
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
		{f.Certificate, &c.Certificate}, {f.Key, &c.Key}, {f.Authorities, &c.Authorities},
		{f.RegistryUsername, &c.RegistryUsername}, {f.RegistryPassword, &c.RegistryPassword}, {f.RegistryAuthorities, &c.RegistryAuthorities},
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
	// Only the first line counts; a registry's own file has former passwords below.
	c.RegistryUsername, c.RegistryPassword = firstLine(c.RegistryUsername), firstLine(c.RegistryPassword)
	return c, nil
}

func firstLine(content []byte) []byte {
	line, _, _ := bytes.Cut(content, []byte("\n"))
	return bytes.TrimRight(line, "\r")
}
