package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/reload"
)

// User may use the registry by HTTP basic authentication.
type User struct {
	// Name has no colon, which ends it in a request.
	Name string
	// PasswordFile holds the user's passwords, one a line as package credential has it;
	// each of them is good, so that one can be added before the other goes. It is read
	// again when its content changes. While it can't be used, the passwords read before
	// stay.
	PasswordFile string
	// ReadOnly allows GET and HEAD alone.
	ReadOnly bool
}

// fault names the field that can't be used and says why; "" for none.
func (u User) fault() (field, reason string) {
	switch {
	case u.Name == "":
		return "Name", "is required"
	case strings.Contains(u.Name, ":"):
		return "Name", fmt.Sprintf("%q has a colon, which ends a name in a request", u.Name)
	case u.PasswordFile == "":
		return "PasswordFile", "is required"
	}
	return "", ""
}

// users admits requests by name and password.
type users struct {
	clock clock.PassiveClock
	// granted has each user's passwords, as its file has them.
	granted []*reload.Value[[]grant]
}

// grant is one good pair of name and password. Digests compare in constant time.
type grant struct {
	digest   [sha256.Size]byte
	readOnly bool
	// builds checks credentials of builds that were made with the password; nil if the
	// user may only read.
	builds *credential.BuildKey
}

// access describes what a request's user may do.
type access struct {
	readOnly bool
	// build is set if the user is a build.
	build *credential.Build
}

func readUsers(listed []User, logger lager.Logger, clock clock.PassiveClock) (*users, error) {
	u := &users{clock: clock}
	logger = logger.Session("users")
	var faults []error
	for i, user := range listed {
		granted, err := reload.Load(reload.Source[[]grant]{
			Read:   user.passwords,
			Make:   user.grant,
			Kind:   "passwords",
			Logger: logger.WithData(lager.Data{"user": user.Name}),
			Now:    clock.Now,
		})
		if err != nil {
			faults = append(faults, fmt.Errorf("Users[%d].PasswordFile: %w", i, err))
		}
		u.granted = append(u.granted, granted)
	}
	return u, errors.Join(faults...)
}

// passwords reads the user's file.
func (u User) passwords() ([][]byte, error) {
	values, err := credential.ReadAll(u.PasswordFile)
	if err != nil {
		return nil, err
	}
	passwords := make([][]byte, 0, len(values))
	for _, value := range values {
		passwords = append(passwords, []byte(value))
	}
	return passwords, nil
}

// grant turns the user's passwords into grants.
func (u User) grant(passwords [][]byte) ([]grant, error) {
	var granted []grant
	for _, password := range passwords {
		good := grant{digest: pairDigest(u.Name, string(password)), readOnly: u.ReadOnly}
		if !u.ReadOnly {
			key, err := credential.NewBuildKey(u.Name, string(password))
			if err != nil {
				return nil, err
			}
			good.builds = &key
		}
		granted = append(granted, good)
	}
	return granted, nil
}

// pairDigest is unique, as names have no colon.
func pairDigest(name, password string) [sha256.Size]byte {
	return sha256.Sum256([]byte(name + ":" + password))
}

// current returns the grants of all users.
func (u *users) current() []grant {
	var granted []grant
	for _, user := range u.granted {
		granted = append(granted, user.Current()...)
	}
	return granted
}

var (
	errUnknownUser  = errors.New("no such user, or another password")
	errBuildExpired = errors.New("this build's credential has expired")
)

// find returns what name and password are good for. Its time depends on no password.
func (u *users) find(name, password string) (access, error) {
	found, err := access{}, errUnknownUser
	given := pairDigest(name, password)
	granted := u.current()
	for _, candidate := range granted {
		if subtle.ConstantTimeCompare(given[:], candidate.digest[:]) == 1 {
			found, err = access{readOnly: candidate.readOnly}, nil
		}
	}
	build, noBuild := credential.ParseBuild(name)
	if err == nil || noBuild != nil {
		return found, err
	}
	for _, candidate := range granted {
		if candidate.builds == nil || !candidate.builds.Matches(name, password) {
			continue
		}
		if !u.clock.Now().Before(build.Expires) {
			return access{}, errBuildExpired
		}
		return access{build: &build}, nil
	}
	return access{}, err
}

// admit lets only requests of users through to next.
func (u *users) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		name, password, given := request.BasicAuth()
		if !given {
			refuseUnknown(w, "a user's name and password are required")
			return
		}
		found, err := u.find(name, password)
		switch {
		case err != nil:
			refuseUnknown(w, err.Error())
		case found.readOnly && !reads(request):
			refuse(w, http.StatusForbidden, "DENIED", "this user may only read")
		default:
			destinationOf(request).build = found.build
			next.ServeHTTP(w, request)
		}
	})
}

func refuseUnknown(w http.ResponseWriter, message string) {
	w.Header().Set("WWW-Authenticate", `Basic realm="irene"`)
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", message)
}

func reads(request *http.Request) bool {
	return request.Method == http.MethodGet || request.Method == http.MethodHead
}
