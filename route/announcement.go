package route

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
	// Changed is what the registrar's view has seen change.
	Changed Revision `json:"changed,omitzero"`
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

func (a announcement) marshal() []byte {
	data, err := json.Marshal(a)
	if err != nil {
		panic("route: " + err.Error()) // strings and numbers always marshal
	}
	return data
}

// parseAnnouncement reads an announcement of another replica. It returns nil for one
// of this replica, and for one that says nothing to this version.
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

// parseUnregister reads another replica's unregister. It is nil for messages of
// anyone else, and our own.
func parseUnregister(audience Audience, data []byte, self string) (*Unregistration, error) {
	var p payload
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", audience.unregisterSubject(), err)
	}
	if p.Origin == nil || p.Origin.Emitter == self {
		return nil, nil
	}
	return &Unregistration{Audience: audience, Host: p.Host, Port: p.dialled(), URIs: p.URIs, Revision: p.Origin.Revision, payload: p}, nil
}
