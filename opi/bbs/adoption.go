package bbs

import "github.com/irene-cf/irene/opi"

// tasksDomain is the domain of Cloud Controller's tasks.
const tasksDomain = "cf-tasks"

// adoption holds which front doors' LRPs, tasks and builds this door answers for. What belongs
// to another door does not exist for callers of this one.
type adoption struct {
	// opi is [Options.AdoptOPI].
	opi bool
}

// doors returns the doors, this one first.
func (a adoption) doors() []opi.Door {
	if a.opi {
		return []opi.Door{opi.DoorBBS, opi.DoorOPI}
	}
	return []opi.Door{opi.DoorBBS}
}

// has reports whether this door answers for what was asked for through a door.
func (a adoption) has(door opi.Door) bool {
	return door == opi.DoorBBS || door == opi.DoorOPI && a.opi
}

// domainOf returns the domain in which this door has what was asked for through a door: its
// own, or adopted for what comes from a door without domains. ok is false if it has not.
func (a adoption) domainOf(door opi.Door, domain, adopted string) (_ string, ok bool) {
	switch {
	case !a.has(door):
		return "", false
	case door == opi.DoorBBS:
		return domain, true
	}
	return adopted, true
}
