package steps

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// IsCustom reports whether a user named the buildpack by its URL. Such a URL is
// followed with no credential but what it carries itself: a user could point it at
// something that only the platform may read.
//
// Cloud Controller gives such a buildpack its URL as key; the keys of its own buildpacks
// are no URLs. Every key that looks like one is taken for a user's, so that a key that
// was changed on the way to the steps leads to less trust, never to more.
func IsCustom(buildpack opi.Buildpack) bool {
	return strings.Contains(buildpack.Key, "://") || buildpack.Key == buildpack.URL
}

// PublicKey returns a buildpack's key without what is secret. The key of a custom
// buildpack is its URL and may carry a password or a signed query, which the build
// must not see. PublicKey is a text for people: different buildpacks may have the same.
// StepKeys tells them apart.
func PublicKey(key string) string {
	if !strings.Contains(key, "://") {
		return key
	}
	if parsed, err := url.Parse(key); err == nil && parsed.Scheme != "" && parsed.Host != "" {
		parsed.User = nil
		parsed.RawQuery, parsed.ForceQuery = "", false
		return parsed.String()
	}
	// What is no URL may have been meant to be one.
	beforeQuery, _, _ := strings.Cut(key, "?")
	scheme, rest, _ := strings.Cut(beforeQuery, "://")
	public := afterUser(scheme) + "://" + afterUser(rest)
	if public == key {
		return key
	}
	// What is left may be one.
	return PublicKey(public)
}

func afterUser(text string) string { return text[strings.LastIndex(text, "@")+1:] }

// StepKey is a buildpack's key in the configurations of the steps.
type StepKey struct {
	// Public holds no secret. Within a build, two buildpacks have the same one only if
	// they are the same.
	Public string
	// Lasting reports whether Public stands for the same buildpack in every build. It
	// does not if something that may be part of the buildpack's identity was removed.
	Lasting bool
}

// StepKeys returns the keys of a build's buildpacks, in their order: PublicKey where that
// is unique. Of several buildpacks whose URLs differ only in what PublicKey removes, the
// second gets ";2" at its end, and so on. The number shows nothing of the secret; a
// digest of the URL would let the build guess a weak password.
func StepKeys(buildpacks []opi.Buildpack) []StepKey {
	// owners maps public keys to the keys that they stand for. Keys without a secret come
	// first: they keep their own name.
	owners := map[string]string{}
	for _, buildpack := range buildpacks {
		if PublicKey(buildpack.Key) == buildpack.Key {
			owners[buildpack.Key] = buildpack.Key
		}
	}
	keys := make([]StepKey, 0, len(buildpacks))
	for _, buildpack := range buildpacks {
		public := PublicKey(buildpack.Key)
		candidate := public
		for n := 2; ; n++ {
			if owner, taken := owners[candidate]; !taken || owner == buildpack.Key {
				break
			}
			// The number may make a URL of what was none.
			candidate = PublicKey(fmt.Sprintf("%s;%d", public, n))
		}
		owners[candidate] = buildpack.Key
		keys = append(keys, StepKey{Public: candidate, Lasting: candidate == withoutUser(buildpack.Key)})
	}
	return keys
}

// withoutUser removes user and password of a URL. They say who asks and not what for: a
// buildpack is the same after its token was renewed. Of a query nobody can tell.
func withoutUser(key string) string {
	parsed, err := url.Parse(key)
	if err != nil || !strings.Contains(key, "://") {
		return key
	}
	parsed.User = nil
	return parsed.String()
}
