package bbs

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// dockerHub is the registry of images that name none.
const dockerHub = "docker.io"

// rootFS reads preloaded:<stack> and docker://[<registry>]/<repository>[#<tag>]. Of an image
// with a digest, the repository ends with "@sha256" and the fragment is the hex, or the
// fragment is <tag>@<digest> (contract/bbs.md 3.4).
func rootFS(wire definition) (opi.RootFS, error) {
	text := wire.GetRootFs()
	scheme, rest, found := strings.Cut(text, ":")
	switch {
	case !found:
		return opi.RootFS{}, opi.Invalid("root_fs", "%q has no URL scheme", shorten(text))
	case scheme == "preloaded" && rest == "":
		return opi.RootFS{}, opi.Invalid("root_fs", "%q names no stack", text)
	case scheme == "preloaded":
		return opi.RootFS{Stack: rest}, nil
	case scheme != "docker":
		return opi.RootFS{}, opi.Invalid("root_fs", "the scheme %q is neither that of preloaded:<stack> nor of docker://<image>", shorten(scheme))
	}
	reference, ok := imageReference(text)
	if !ok {
		return opi.RootFS{}, opi.Invalid("root_fs", "is not the URL of a docker image, docker://[<registry>]/<repository>[#<tag>]")
	}
	credentials, err := imageCredentials(wire)
	return opi.RootFS{Image: &opi.Image{Reference: reference, Credentials: credentials}}, err
}

// imageReference returns the image reference of a docker URL.
func imageReference(text string) (reference string, ok bool) {
	image, err := url.Parse(text)
	if err != nil || image.User != nil || image.RawQuery != "" || image.Opaque != "" {
		return "", false
	}
	reference = cmp.Or(image.Host, dockerHub) + image.Path
	if image.Fragment != "" {
		reference += ":" + image.Fragment
	}
	return reference, strings.Trim(image.Path, "/") != ""
}

// imageCredentials returns what a private image is pulled with; nil for a public one.
func imageCredentials(wire definition) (*opi.RegistryCredentials, error) {
	username, password := wire.GetImageUsername(), wire.GetImagePassword()
	switch {
	case username == "" && password == "":
		return nil, nil
	case username == "":
		return nil, opi.Invalid("image_username", "is missing, image_password is given")
	case password == "":
		return nil, opi.Invalid("image_password", "is missing, image_username is given")
	}
	return &opi.RegistryCredentials{Username: username, Password: password}, nil
}
