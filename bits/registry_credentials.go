package bits

import (
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/irene-cf/irene/credential"
)

// fileCredentials reads a user name and a password from files, again for each login, so
// that a changed Secret counts at once.
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
	username, password, err := credential.ReadPair(c.usernameFile, c.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return &authn.AuthConfig{Username: username, Password: password}, nil
}
