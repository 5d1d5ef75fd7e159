package transfer

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// uploaderTarget is the parameter of a URL of Cloud Controller's uploader that holds the
// address to which the uploader passes a droplet.
const uploaderTarget = "cc-droplet-upload-uri"

// jobFailed begins the uploader's answer when Cloud Controller did not store a droplet that
// it took.
const jobFailed = "upload job failed"

// unknownState begin the uploader's answers when it could not find out the state of a job:
// there was no answer to its GET, or one that it could not read, for instance because a
// proxy answered in Cloud Controller's place. These texts are those of cc-uploader's
// ccclient/poller.go and of Go's net/http.
var unknownState = []string{"Get ", "unknown job status", "invalid character ", "EOF", "unexpected EOF"}

// askedJob finds the job in such an answer. Before Go 1.14 there were no quotes.
var askedJob = regexp.MustCompile(`^Get "?(https?://[^\s"?#]+/staging_jobs/[-A-Za-z0-9]+)"?: `)

// judgeUploader interprets the uploader's answer about a droplet that it could not hand over
// or that is not known to be stored. The uploader answers 500 in both cases.
func (e *Error) judgeUploader(u *url.URL, answer []byte) {
	target, err := url.Parse(u.Query().Get(uploaderTarget))
	if e.Status != http.StatusInternalServerError || err != nil || target.Host == "" {
		return
	}
	text := string(answer)
	if strings.HasPrefix(text, jobFailed) {
		e.Why, e.final = notStored, true
		return
	}
	if !slices.ContainsFunc(unknownState, func(begin string) bool { return strings.HasPrefix(text, begin) }) {
		return
	}
	e.Why, e.final = notKnown, true
	if found := askedJob.FindStringSubmatch(text); found != nil {
		// The uploader asks where it sent the droplet; no other host gets our certificate.
		if asked, err := url.Parse(found[1]); err == nil && asked.User == nil && server(asked) == server(target) {
			e.job = asked
		}
	}
}

const (
	notStored = "Cloud Controller took it and then failed to store it"
	notKnown  = "Cloud Controller took it and then did not say whether it is stored; push the app again"
)
