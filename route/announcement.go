package route

import (
	"encoding/json"
	"fmt"
)

// announcementSubject is where the leader of an installation says that it leads.
func announcementSubject(installation string) string { return "irene.emitter." + installation }

type announcementPayload struct {
	Emitter string `json:"emitter"`
}

func announcement(emitter string) []byte {
	data, err := json.Marshal(announcementPayload{Emitter: emitter})
	if err != nil {
		panic("route: " + err.Error()) // a string always marshals
	}
	return data
}

func parseAnnouncement(data []byte) (emitter string, err error) {
	var p announcementPayload
	if err := json.Unmarshal(data, &p); err != nil {
		return "", fmt.Errorf("announcement of an emitter: %w", err)
	}
	return p.Emitter, nil
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
