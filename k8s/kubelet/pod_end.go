package kubelet

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/irene-cf/irene/k8s/eviction"
	"github.com/irene-cf/irene/opi"
)

// reasonWord is how reasons in Kubernetes look.
var reasonWord = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// notEnough begins the message about a node that is full. In newer versions "Pod was
// rejected: " precedes it.
const notEnough = "Node didn't have enough resource: "

// PodEnd returns why a kubelet ended a pod as a whole, or did not admit it. Of a message
// about the node the first sentence stays, since the next ones name containers and what
// they use. reason and message are those of the pod's status.
func PodEnd(reason, message string) string {
	sentence := ""
	switch {
	case eviction.ForNode(reason, message):
		sentence, _, _ = strings.Cut(message, ". ")
		sentence = strings.TrimSuffix(strings.TrimSpace(sentence), ".") + "."
	case strings.Contains(message, notEnough):
		sentence, _, _ = strings.Cut(message[strings.Index(message, notEnough):], ", ")
	case strings.Contains(message, "imminent node shutdown"):
		sentence = "its node is being shut down"
	default:
		sentence = "its node ended it or did not take it"
	}
	if !reasonWord.MatchString(reason) {
		reason = ""
	}
	sentence = opi.PlainText(sentence, opi.MaxMessageBytes)
	return cmp.Or(reason, "ended") + ": " + sentence
}
