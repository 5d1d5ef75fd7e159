package events

import (
	"fmt"

	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/opi"
)

// Encoder encodes what is reported to the callers of one door.
type Encoder interface {
	// EncodeOutcome returns the JSON that is posted to the callback URL of a build or a
	// task. The same outcome has the same body.
	EncodeOutcome(outcome opi.Outcome) (body []byte, err error)
	// EncodeReport returns the JSON that is posted about an instance of an LRP, and the
	// path below Cloud Controller's URL to which it is posted.
	EncodeReport(report opi.InstanceReport) (path string, body []byte, err error)
}

// Doors are the encoders of the doors that this process has.
type Doors map[opi.Door]Encoder

// encoder returns the encoder of a door; that of a door which is missing returns errors.
func (d Doors) encoder(door opi.Door) Encoder {
	if encoder := d[door]; encoder != nil {
		return encoder
	}
	return unknownDoor{door}
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
	return reconcile.Postpone(err, misconfiguredPause)
}
