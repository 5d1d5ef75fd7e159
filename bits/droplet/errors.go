package droplet

import (
	"errors"
	"fmt"
)

// What went wrong, for errors.Is on an error that Convert returns. See the package
// comment.
var (
	// ErrRefused says that no layer can be made of this droplet, now or later. The
	// error is also a *Refusal, whose text is fit for the app's developer.
	ErrRefused = errors.New("the droplet is refused")
	// ErrChecksum says that the droplet that was read is not the promised one: the
	// source has another one, or it was damaged on its way. The error is also a
	// *Mismatch.
	ErrChecksum = errors.New("the droplet is not the promised one")
	// ErrSource wraps an error of reading the droplet.
	ErrSource = errors.New("the droplet can't be read")
	// ErrSink wraps an error of writing the layer.
	ErrSink = errors.New("the layer can't be written")
)

// Refusal is why no layer can be made of a droplet.
type Refusal struct {
	// Entry is the name of the entry at fault, as the droplet has it; empty when
	// it is the droplet as a whole.
	Entry string
	// Reason completes the sentence "The droplet (or: its entry) …".
	Reason string
}

// Error is a complete sentence without its full stop.
func (r *Refusal) Error() string {
	if r.Entry == "" {
		return "the droplet " + r.Reason
	}
	return fmt.Sprintf("the droplet's entry %s %s", quoted(r.Entry), r.Reason)
}

// Is makes every Refusal an ErrRefused.
func (r *Refusal) Is(target error) bool { return target == ErrRefused }

// refuse makes a Refusal; format and args make its reason.
func refuse(entry, format string, args ...any) error {
	return &Refusal{Entry: entry, Reason: fmt.Sprintf(format, args...)}
}

// Mismatch is a promised checksum that the droplet doesn't have.
type Mismatch struct {
	// Algorithm is sha1 or sha256.
	Algorithm string
	// Promised and Found are in lower-case hex.
	Promised, Found string
}

// Error names both checksums.
func (m *Mismatch) Error() string {
	return fmt.Sprintf("the droplet's %s is %s, but %s was promised", m.Algorithm, m.Found, m.Promised)
}

// Is makes every Mismatch an ErrChecksum.
func (m *Mismatch) Is(target error) bool { return target == ErrChecksum }

// quoted makes a name that user code chose fit for one line of text.
func quoted(name string) string {
	const limit = 200
	if len(name) > limit {
		return fmt.Sprintf("%q…", name[:limit])
	}
	return fmt.Sprintf("%q", name)
}
