package control

import (
	"time"

	"github.com/irene-cf/irene/opi"
)

// RollOutcome says what became of an LRP.
type RollOutcome string

// The outcomes of a roll.
const (
	// RollDone is an LRP that is on the new revision.
	RollDone RollOutcome = "rolled"
	// RollUnneeded is one that was there already when its turn came.
	RollUnneeded RollOutcome = "unneeded"
	// RollOvertaken is one that was stopped, or moved by somebody else, meanwhile.
	RollOvertaken RollOutcome = "overtaken"
	// RollBack is one that did not come up and went back; Err says why.
	RollBack RollOutcome = "rolled back"
	// RollFailed is one that could not be moved; Err says why. It stays as it stands,
	// for the next roll to go on with.
	RollFailed RollOutcome = "failed"
	// RollInterrupted is one that was under way when the roll ended.
	RollInterrupted RollOutcome = "interrupted"
)

// RolledLRP is what became of one LRP.
type RolledLRP struct {
	opi.LRPIdentifier
	// AppName, SpaceName, OrganizationName and ProcessType are as users know them.
	AppName, SpaceName, OrganizationName, ProcessType string
	// From and To are revisions of the stack.
	From, To string
	Outcome  RollOutcome
	// Note is what else should be known, for people; mostly empty.
	Note string
	// Err is nil unless Outcome is RollBack or RollFailed.
	Err  error
	Took time.Duration
	// Number counts the LRPs that are done with, from 1, and Total is how many there were.
	Number, Total int
}

// StackRollResult counts LRPs.
type StackRollResult struct {
	// Total is how many LRPs had to be moved when the roll began.
	Total int
	// Outcomes has those that were begun. The rest of Total was left alone, because
	// the roll ended before.
	Outcomes map[RollOutcome]int
}

// Failed is how many LRPs are not on the new revision although the roll came to them.
func (r StackRollResult) Failed() int { return r.Outcomes[RollBack] + r.Outcomes[RollFailed] }

// Left is how many LRPs the roll did not come to, or not see to an end.
func (r StackRollResult) Left() int {
	left := r.Total + r.Outcomes[RollInterrupted]
	for _, count := range r.Outcomes {
		left -= count
	}
	return left
}
