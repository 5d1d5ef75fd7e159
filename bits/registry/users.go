package registry

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/credential"
)

// passwordCheckInterval is how often, at most, the files are looked at.
const passwordCheckInterval = time.Second

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
	listed []User
	logger lager.Logger
	clock  clock.PassiveClock

	mu      sync.Mutex
	checked time.Time
	// passwords are what each user's file held when it was last good.
	passwords [][]string
	// faults is what was last wrong with each file, kept so that it is logged once.
	faults  []string
	granted []grant
}

// grant is one good pair of name and password. Digests compare in a time that tells
// nothing.
type grant struct {
	digest   [sha256.Size]byte
	readOnly bool
}

func readUsers(listed []User, logger lager.Logger, clock clock.PassiveClock) (*users, error) {
	u := &users{listed: listed, logger: logger.Session("users"), clock: clock, checked: clock.Now(),
		passwords: make([][]string, len(listed)), faults: make([]string, len(listed))}
	var faults []error
	for i, user := range listed {
		passwords, err := credential.ReadAll(user.PasswordFile)
		if err != nil {
			faults = append(faults, fmt.Errorf("Users[%d].PasswordFile: %w", i, err))
		}
		u.passwords[i] = passwords
	}
	u.grant()
	return u, errors.Join(faults...)
}

func (u *users) grant() {
	u.granted = nil
	for i, user := range u.listed {
		for _, password := range u.passwords[i] {
			u.granted = append(u.granted, grant{pairDigest(user.Name, password), user.ReadOnly})
		}
	}
}

// pairDigest is unique, as names have no colon.
func pairDigest(name, password string) [sha256.Size]byte {
	return sha256.Sum256([]byte(name + ":" + password))
}

// current reads changed files into use.
func (u *users) current() []grant {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := u.clock.Now(); now.Sub(u.checked) >= passwordCheckInterval {
		u.checked = now
		u.refresh()
	}
	return u.granted
}

func (u *users) refresh() {
	changed := false
	for i, user := range u.listed {
		passwords, err := credential.ReadAll(user.PasswordFile)
		if err != nil {
			if u.faults[i] != err.Error() {
				u.faults[i] = err.Error()
				u.logger.Error("reload-failed", err, lager.Data{"user": user.Name, "consequence": "the passwords read before stay in use"})
			}
			continue
		}
		u.faults[i] = ""
		if !slices.Equal(passwords, u.passwords[i]) {
			u.passwords[i], changed = passwords, true
			u.logger.Info("reloaded", lager.Data{"user": user.Name})
		}
	}
	if changed {
		u.grant()
	}
}

// find says whether name and password are good and what they are good for. Its time
// depends on neither.
func (u *users) find(name, password string) (known, readOnly bool) {
	given := pairDigest(name, password)
	for _, candidate := range u.current() {
		if subtle.ConstantTimeCompare(given[:], candidate.digest[:]) == 1 {
			known, readOnly = true, candidate.readOnly
		}
	}
	return known, readOnly
}

// admit lets only requests of users through to next.
func (u *users) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		name, password, given := request.BasicAuth()
		known, readOnly := u.find(name, password)
		switch {
		case !given:
			w.Header().Set("WWW-Authenticate", `Basic realm="irene"`)
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "a user's name and password are required")
		case !known:
			w.Header().Set("WWW-Authenticate", `Basic realm="irene"`)
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "no such user, or another password")
		case readOnly && request.Method != http.MethodGet && request.Method != http.MethodHead:
			refuse(w, http.StatusForbidden, "DENIED", "this user may only read")
		default:
			next.ServeHTTP(w, request)
		}
	})
}
