package events

import (
	"fmt"

	"github.com/irene-cf/irene/opi"
)

// OutcomeEncoder encodes the outcomes of builds and tasks for the callers of one door.
type OutcomeEncoder interface {
	// EncodeOutcome returns the JSON that is posted to the callback URL. The same outcome
	// has the same body.
	EncodeOutcome(outcome opi.Outcome) (body []byte, err error)
}

// ReportEncoder encodes reports about instances of LRPs for the callers of one door.
type ReportEncoder interface {
	// EncodeReport returns the JSON that is posted, and the path below Cloud Controller's
	// URL to which it is posted.
	EncodeReport(report opi.InstanceReport) (path string, body []byte, err error)
}

// unknownDoor encodes for doors that this process doesn't have: another release made the
// object, or the door was switched off. What is reported stays pending until it is back.
type unknownDoor struct{ door opi.Door }

func (u unknownDoor) EncodeOutcome(opi.Outcome) ([]byte, error) { return nil, u.err() }

func (u unknownDoor) EncodeReport(opi.InstanceReport) (string, []byte, error) {
	return "", nil, u.err()
}

func (u unknownDoor) err() error {
	err := fmt.Errorf("it was asked for through the door %q, which this Irene does not have", u.door)
	return postponed{error: err, after: misconfiguredPause}
}

func outcomeEncoder(doors map[opi.Door]OutcomeEncoder, door opi.Door) OutcomeEncoder {
	if encoder := doors[door]; encoder != nil {
		return encoder
	}
	return unknownDoor{door}
}

func reportEncoder(doors map[opi.Door]ReportEncoder, door opi.Door) ReportEncoder {
	if encoder := doors[door]; encoder != nil {
		return encoder
	}
	return unknownDoor{door}
}
