package api

import (
	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/opi"
)

// maxLoggedOddValues bounds a line of the log: one request may have thousands of rules.
const maxLoggedOddValues = 20

// logOdd logs the values of a request that were left out or replaced, since they are no
// reason to refuse it.
func logOdd(logger lager.Logger, action string, data lager.Data, odd []*opi.FieldError) {
	texts := wireNames.Describe(odd)
	if len(texts) == 0 {
		return
	}
	data["count"], data["values"] = len(texts), texts[:min(len(texts), maxLoggedOddValues)]
	logger.Info(action+"-odd-values", data)
}
