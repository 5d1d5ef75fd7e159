package nats

import (
	"encoding/json"
	"fmt"
)

// announcementSubject returns the subject on which the registrar of an installation
// announces itself.
func announcementSubject(installation string) string { return "irene.emitter." + installation }

// announcement names the replica that registers. The version before sends and reads
// Emitter alone, and ignores messages in which it is empty.
type announcement struct {
	// Emitter is the registrar's id.
	Emitter string `json:"emitter"`
	// Term rises with each change of the registrar; 0 from the version before.
	Term int64 `json:"term,omitempty"`
	// Changed holds the resource versions of the last changes in the registrar's view.
	Changed revision `json:"changed,omitzero"`
	// Resigned is the id of a registrar that has ended; Emitter is empty then.
	Resigned string `json:"resigned,omitempty"`
}

// legacy reports whether the announcement is by a leader of the version before.
func (a announcement) legacy() bool { return a.Term == 0 }

func (a announcement) sender() string { return a.Emitter + a.Resigned }

// outranks reports whether a's sender stays registrar when both announce themselves.
func (a announcement) outranks(other announcement) bool {
	switch {
	case a.Emitter == "" || other.Emitter == "":
		return other.Emitter == "" && a.Emitter != ""
	case a.legacy() != other.legacy():
		return a.legacy()
	case a.Term != other.Term:
		return a.Term > other.Term
	}
	return a.Emitter > other.Emitter
}

// parseAnnouncement reads an announcement of another replica. It returns nil for one
// of this replica, and for one that has no meaning in this version.
func parseAnnouncement(data []byte, self string) (*announcement, error) {
	var a announcement
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, fmt.Errorf("announcement of an emitter: %w", err)
	}
	if a.Emitter == "" && a.Resigned == "" || a.Emitter == self || a.Resigned == self {
		return nil, nil
	}
	return &a, nil
}
