package credential

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// BuildsHeader is set in the answers to GET /v2/ of a registry that takes credentials of
// builds. Irene finds that out by it: other registries and older releases do not.
const BuildsHeader = "Irene-Build-Credentials"

const (
	// buildUserPrefix begins the user names of builds. It has the number of their form.
	buildUserPrefix = "irene-build/1/"
	// maxBuildUserBytes bounds such a name: a guid of 63 and a repository of 255 bytes fit.
	maxBuildUserBytes = 400
	// keyRounds makes guessing a weak password from a build's credential slow. A key is
	// derived once per password.
	keyRounds = 100_000
)

var (
	buildGUID       = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	buildRepository = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// Build is the scope of one build's credential for Irene's own registry.
type Build struct {
	// GUID identifies the build in logs.
	GUID string
	// Repository takes the build's droplet.
	Repository string
	// Expires is when the credential ends. Fractions of a second are cut off.
	Expires time.Time
}

// Username returns the user name that describes the scope. It has no colon, which ends a
// name in a request.
func (b Build) Username() (string, error) {
	name := fmt.Sprintf("%s%d/%s/%s", buildUserPrefix, b.Expires.Unix(), b.GUID, b.Repository)
	parsed, err := ParseBuild(name)
	if err == nil && (parsed.GUID != b.GUID || parsed.Repository != b.Repository) {
		err = ErrNoBuild
	}
	if err != nil {
		return "", fmt.Errorf("name build %q for repository %q: %w", b.GUID, b.Repository, err)
	}
	return name, nil
}

// ErrNoBuild is returned by ParseBuild for names of other users.
var ErrNoBuild = errors.New("this is not the user name of a build")

// ParseBuild reads a user name that Build.Username has made. Each scope has exactly one
// name.
func ParseBuild(username string) (Build, error) {
	scope, found := strings.CutPrefix(username, buildUserPrefix)
	if !found || len(username) > maxBuildUserBytes {
		return Build{}, ErrNoBuild
	}
	parts := strings.SplitN(scope, "/", 3)
	if len(parts) != 3 {
		return Build{}, ErrNoBuild
	}
	seconds, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || seconds <= 0 || strconv.FormatInt(seconds, 10) != parts[0] {
		return Build{}, ErrNoBuild
	}
	if !buildGUID.MatchString(parts[1]) || !buildRepository.MatchString(parts[2]) {
		return Build{}, ErrNoBuild
	}
	return Build{GUID: parts[1], Repository: parts[2], Expires: time.Unix(seconds, 0)}, nil
}

// BuildKey makes and checks the passwords of builds. It is derived from a password that
// Irene and its registry both have, so they need no other secret in common, and the
// registry has to keep nothing of a build.
type BuildKey [sha256.Size]byte

// NewBuildKey returns the key of a user's password. It takes some ten milliseconds.
func NewBuildKey(username, password string) (BuildKey, error) {
	derived, err := pbkdf2.Key(sha256.New, password, []byte("irene build credentials 1:"+username), keyRounds, sha256.Size)
	if err != nil {
		return BuildKey{}, fmt.Errorf("derive the key of builds' passwords: %w", err)
	}
	return BuildKey(derived), nil
}

// Password returns the password that belongs to a build's user name.
func (k BuildKey) Password(username string) string {
	mac := hmac.New(sha256.New, k[:])
	_, _ = mac.Write([]byte(username)) // a hash never fails
	return hex.EncodeToString(mac.Sum(nil))
}

// Matches reports in constant time whether the password belongs to the user name. The
// caller checks [Build].Expires.
func (k BuildKey) Matches(username, password string) bool {
	return hmac.Equal([]byte(k.Password(username)), []byte(password))
}
