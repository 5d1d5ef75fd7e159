package opi

import (
	// A digest is accepted only if its algorithm is linked in; kubelet has these two.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"strings"

	"github.com/distribution/reference"
)

// Reasons for which a docker image can't be started, for app developers.
const (
	ImageRunsAsRoot   = "the image runs as root, which this platform does not allow; give it a USER that is not root"
	ImageHasNoCommand = "the image has neither ENTRYPOINT nor CMD, and the app has no start command; give it one"
)

// ImageNotReady explains to app developers why there is no image, where nothing more is known.
const ImageNotReady = "the platform can't get the app's image ready at present; it goes on trying"

// Validate checks that the reference is one that kubelet and containerd accept, and
// that credentials are complete.
func (i Image) Validate() error {
	var errs []error
	switch {
	case i.Reference == "":
		errs = append(errs, Invalid("reference", "is missing"))
	case strings.Contains(i.Reference, "://"):
		errs = append(errs, Invalid("reference", "%q must not have a URL scheme", quotable(i.Reference)))
	default:
		// Both of them parse references with this function.
		if _, err := reference.ParseDockerRef(i.Reference); err != nil {
			errs = append(errs, Invalid("reference", "%q is not an image reference ([registry/]repository[:tag][@digest]): %v", quotable(i.Reference), err))
		}
	}
	if i.Credentials != nil && i.Credentials.Username == "" {
		errs = append(errs, Invalid("credentials", "a registry password is given without a user name"))
	}
	return errors.Join(errs...)
}

// quotable returns a reference for error texts, which are logged: without a user and password before
// the registry and without a query. No valid reference has either.
func quotable(text string) string {
	text, _, _ = strings.Cut(text, "?")
	before, name := "", text
	if path := strings.LastIndex(text, "/"); path >= 0 {
		before, name = text[:path], text[path:]
	}
	if at := strings.LastIndex(before, "@"); at >= 0 {
		before = "…" + before[at:]
	}
	return abbreviate(before + name)
}
