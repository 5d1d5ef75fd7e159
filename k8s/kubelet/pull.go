package kubelet

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// PullFailure returns that an image can't be had, and why. image is the reference that the
// user gave; it is empty for an image that the platform makes.
func PullFailure(message, image string) string {
	cause := PullCause(message)
	switch {
	case image == "" && cause == "":
		return "the platform can't fetch the app's image at present"
	case image == "":
		return "the platform can't fetch the app's image at present (" + cause + ")"
	case cause == "":
		return "the image " + opi.PlainText(image, maxReference) + " can't be pulled"
	}
	return "the image " + opi.PlainText(image, maxReference) + " can't be pulled: " + cause
}

// maxReference bounds an image's reference in a text, in bytes.
const maxReference = 512

// cause is a text for a message that contains one of words, in lower case.
type cause struct {
	text  string
	words []string
}

// pullCauses are tried in order: some messages have words of several causes.
var pullCauses = []cause{
	{"it has no variant for the platform's processors", []string{"no match for platform"}},
	{"too many requests to its registry", []string{"toomanyrequests: ", "429 too many requests"}},
	{"access denied, or there is no such repository", []string{"pull access denied", "repository does not exist or may require"}},
	{"access denied", []string{"access to the resource is denied", "authorization failed", "no basic auth credentials", "authentication required"}},
	{"no such host", []string{"no such host"}},
	{"timeout", []string{"i/o timeout", "handshake timeout", "deadline exceeded", "client.timeout exceeded", "timeout awaiting"}},
	{"connection refused", []string{"connection refused"}},
	{"connection closed", []string{"connection reset by peer", "unexpected eof", ": eof"}},
	{"network unreachable", []string{"network is unreachable", "no route to host"}},
	{"its registry's certificate is not trusted", []string{"x509: ", "tls: "}},
	{"its registry does not use HTTPS", []string{"server gave http response to https client"}},
	{"not found", []string{": not found", "not found:", "manifest unknown", "name unknown", "repository name not known"}},
	{"no space left on device", []string{"no space left on device"}},
	{"it is not a reference to an image", []string{"invalid reference format", "couldn't parse image name"}},
	{"it is not on the node, and the platform does not pull it", []string{"pull policy of never"}},
	{"its signature is not valid", []string{"signature validation failed"}},
}

// httpStatus finds "401 Unauthorized" in the texts of containerd.
var httpStatus = regexp.MustCompile(`\b([45]\d\d) [A-Z]`)

// PullCause returns why an image can't be had; it returns an empty string if the message has
// no cause that is known.
func PullCause(message string) string {
	if text := causeOf(message, pullCauses); text != "" {
		return text
	}
	for _, match := range httpStatus.FindAllStringSubmatchIndex(message, -1) {
		status, err := strconv.Atoi(message[match[2]:match[3]])
		if err != nil || http.StatusText(status) == "" {
			continue
		}
		if text := strconv.Itoa(status) + " " + http.StatusText(status); strings.HasPrefix(message[match[2]:], text) {
			return text
		}
	}
	return ""
}

func causeOf(message string, causes []cause) string {
	message = strings.ToLower(message)
	for _, cause := range causes {
		for _, words := range cause.words {
			if strings.Contains(message, words) {
				return cause.text
			}
		}
	}
	return ""
}
