package job

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
)

// plainGUID is what can stand in the name of a Job, which its pod's name prolongs.
var plainGUID = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,46}[a-z0-9])?$`)

// Name is made of the work's guid alone. Other guids than Cloud Controller's, which are
// all plain, become a digest. prefix has six bytes at the most.
func Name(prefix, guid string) string {
	if plainGUID.MatchString(guid) {
		return prefix + guid
	}
	sum := sha256.Sum256([]byte(guid))
	return prefix + hex.EncodeToString(sum[:])[:40]
}
