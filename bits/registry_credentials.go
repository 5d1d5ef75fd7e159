package bits

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
)

// fileCredentials reads a user name and a password from files, anew each time, so
// that a changed Secret counts at once. A file's first line is the value: in the file
// of a registry's passwords, further ones are those that are good as well.
type fileCredentials struct{ usernameFile, passwordFile string }

// newFileCredentials is anonymous without files. It reads them once, so that a
// mistake shows at the start.
func newFileCredentials(usernameFile, passwordFile string) (authn.Authenticator, error) {
	if usernameFile == "" && passwordFile == "" {
		return authn.Anonymous, nil
	}
	if usernameFile == "" || passwordFile == "" {
		return nil, errors.New("credentials of the registry: a user name file and a password file belong together")
	}
	credentials := fileCredentials{usernameFile, passwordFile}
	if _, err := credentials.Authorization(); err != nil {
		return nil, err
	}
	return credentials, nil
}

// Authorization implements authn.Authenticator.
func (c fileCredentials) Authorization() (*authn.AuthConfig, error) {
	username, err := readCredential(c.usernameFile)
	if err != nil {
		return nil, err
	}
	password, err := readCredential(c.passwordFile)
	if err != nil {
		return nil, err
	}
	return &authn.AuthConfig{Username: username, Password: password}, nil
}

func readCredential(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read credentials: %w", err)
	}
	value, _, _ := bytes.Cut(content, []byte("\n"))
	value = bytes.TrimSuffix(value, []byte("\r"))
	if len(value) == 0 {
		return "", fmt.Errorf("read credentials: the first line of %s is empty", file)
	}
	return string(value), nil
}
