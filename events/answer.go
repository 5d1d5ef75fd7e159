package events

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"time"
)

// Answer is what Cloud Controller said.
type Answer struct {
	// Status is the HTTP status code.
	Status int
	// RetryAfter is how long it asks to wait before another try, at most
	// maxRetryAfter; 0 if it doesn't.
	RetryAfter time.Duration
	// ErrorCode is Cloud Controller's name of an error, such as CF-StagingError; empty
	// if it gave none. The rest of an answer is not kept: it may quote the request.
	ErrorCode string
}

// Verdict is what an answer means for what was sent.
type Verdict int

const (
	// TryAgain means that the same request may be taken later.
	TryAgain Verdict = iota
	// Misconfigured means that it may be taken once somebody has changed something:
	// credentials that are not accepted, or another server than Cloud Controller.
	Misconfigured
	// Accepted means that Cloud Controller knows now.
	Accepted
	// Refused means that Cloud Controller will never take it, and that is final.
	Refused
)

// Verdict goes by the status alone. 400 and 404 are final: Cloud Controller does not
// know the build or task, or has its outcome already (contract/cloud-controller.md 2.3
// and 3).
func (a Answer) Verdict() Verdict {
	switch {
	case a.Status >= 200 && a.Status < 300:
		return Accepted
	case a.Status == http.StatusRequestTimeout, a.Status == http.StatusTooEarly, a.Status == http.StatusTooManyRequests:
		return TryAgain
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden, a.Status >= 300 && a.Status < 400:
		return Misconfigured
	case a.Status >= 400 && a.Status < 500:
		return Refused
	}
	return TryAgain
}

// String is for people.
func (a Answer) String() string {
	if a.ErrorCode == "" {
		return fmt.Sprintf("status %d", a.Status)
	}
	return fmt.Sprintf("status %d, %s", a.Status, a.ErrorCode)
}

// maxRetryAfter is the longest pause that Cloud Controller can ask for.
const maxRetryAfter = 5 * time.Minute

// codeForm is what an error's name looks like, lest anything else gets into the log.
var codeForm = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9_]{0,63}$`)

// errorCode finds the error's name in a body, in either of Cloud Controller's forms.
func errorCode(body []byte) string {
	var known struct {
		ErrorCode string `json:"error_code"`
		Errors    []struct {
			Title string `json:"title"`
		} `json:"errors"`
	}
	// A body of another form just names no error.
	if json.Unmarshal(body, &known) != nil {
		return ""
	}
	code := known.ErrorCode
	if code == "" && len(known.Errors) > 0 {
		code = known.Errors[0].Title
	}
	if !codeForm.MatchString(code) {
		return ""
	}
	return code
}
