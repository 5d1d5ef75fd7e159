package main

import (
	"fmt"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// syncedDoor is the front door that Cloud Controller's sync calls. The sync compares with its
// database what the door lists: GET /apps of the OPI door, or the scheduling infos of the
// domain cf-apps of the BBS door.
type syncedDoor struct {
	door     opi.Door
	adoptOPI bool
}

// syncedDoorOf returns the door of that name, opi or bbs. Without a name it is the BBS door if
// that is on.
func syncedDoorOf(name string, config BBS) (syncedDoor, error) {
	switch {
	case name == "bbs", name == "" && config.isOn():
		return syncedDoor{door: opi.DoorBBS, adoptOPI: config.AdoptOPI}, nil
	case name == "opi", name == "":
		return syncedDoor{door: opi.DoorOPI}, nil
	}
	return syncedDoor{}, fmt.Errorf("%w: --door is opi or bbs, not %q", errUsage, name)
}

// lists reports whether the door lists the LRP for the sync.
func (s syncedDoor) lists(lrp view.LRP) bool {
	if s.door == opi.DoorBBS && lrp.Door == opi.DoorOPI {
		return s.adoptOPI
	}
	return lrp.Door == s.door && (s.door != opi.DoorBBS || lrp.Domain == opi.DomainApps)
}

// thenUpdates describes what the sync does about another annotation.
func (s syncedDoor) thenUpdates() string {
	if s.door == opi.DoorBBS {
		return "the sync updates instances, routes and metric tags"
	}
	return "the sync updates instances and routes"
}

// elsewhereReason describes an LRP that is another door's, or is in another domain.
func elsewhereReason(door opi.Door, domain string) reason {
	const takes = "the sync desires it and so takes it over; no instance restarts"
	if door == opi.DoorBBS && domain != opi.DomainApps {
		return reason{fmt.Sprintf("is in the domain %q of the BBS API", domain), "the sync desires it"}
	}
	if door == opi.DoorBBS {
		return reason{"was desired by the BBS API", takes}
	}
	return reason{"was desired by the OPI API", takes}
}
