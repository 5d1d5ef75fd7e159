package transfer

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// uploaderTarget is the parameter of a URL of Cloud Controller's uploader that holds the
// address to which the uploader passes a droplet.
const uploaderTarget = "cc-droplet-upload-uri"

// failedQuestion is the uploader's answer when Cloud Controller took a droplet and could
// not be asked for the job afterwards. Uploaders built before Go 1.14 leave the quotes out.
var failedQuestion = regexp.MustCompile(`^Get "?(https?://[^\s"?#]+/staging_jobs/[-A-Za-z0-9]+)"?: `)

// jobFailed begins the uploader's answer when Cloud Controller did not store a droplet that
// it took.
const jobFailed = "upload job failed"

// unreadableAnswers begin the uploader's answers when it could not read the state of a job,
// for instance because a proxy answered in Cloud Controller's place. All of these texts are
// those of cc-uploader's ccclient/poller.go.
var unreadableAnswers = []string{"unknown job status", "invalid character ", "EOF", "unexpected EOF"}

// judgeUploader reads what the uploader says about a droplet that it could not hand over
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
	if found := failedQuestion.FindStringSubmatch(text); found != nil {
		e.Why, e.final = notKnown, true
		// The uploader asks where it sent the droplet; no other host is worth a certificate.
		if asked, err := url.Parse(found[1]); err == nil && asked.User == nil && server(asked) == server(target) {
			e.job = asked
		}
		return
	}
	for _, begin := range unreadableAnswers {
		if strings.HasPrefix(text, begin) {
			e.Why, e.final = notKnown, true
		}
	}
}

const (
	notStored = "Cloud Controller took it and then failed to store it"
	notKnown  = "Cloud Controller took it and then did not say whether it is stored; push the app again"
)
