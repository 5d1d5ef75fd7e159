package render

// AppImage identifies what a buildpack app's image consists of in addition to its droplet.
type AppImage struct {
	// Revision ends the image's tag and stands for the stack and lifecycle layer that
	// it is built on; empty for a tag of the droplet's checksum alone.
	Revision string
	// Stack is the name of the stack; empty if unknown.
	Stack string
}

// ImageUser is the user that a docker image runs as, as far as it has been found out.
type ImageUser struct {
	// UID is nil when the image's own user is to be left alone.
	UID *int64
	GID *int64
	// NoCommand reports that the image has neither an entrypoint nor a command.
	NoCommand bool
}

// ResolvedImage is what must be known of an LRP's image before its objects are made.
// AppImage is set for droplets, User for docker images.
type ResolvedImage struct {
	AppImage
	User ImageUser
}
