package stager

import (
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

// ResultOutcome returns the outcome of a build with the result.json that its push step has
// stored. The step has checked everything about it, outside of user code's reach.
func ResultOutcome(guid string, text []byte) (*opi.Outcome, error) {
	result, err := steps.ParseResult(text)
	if err == nil {
		text, err = result.Text()
	}
	if err != nil {
		return Failed("internal", opi.StagerError, "The result of staging can't be used: %s", err).Outcome(guid), nil
	}
	return success(guid, text, Failed("output", opi.StagingError, "Staging found more than fits into its result: its start commands and sidecars have %d KiB, and the limit is about %d KiB",
		len(text)>>10, opi.MaxResultBytes>>10))
}
