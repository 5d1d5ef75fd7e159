package kubelet

import (
	"regexp"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// startCauses are causes of messages about a container that can't be made or started.
// Kubelet (package kuberuntime) and containerd speak of pods and containers where an image
// is at fault.
var startCauses = []cause{
	{opi.ImageRunsAsRoot, []string{"image will run as root", "breaks non-root policy"}},
	{
		"the image names its user instead of giving its number, and the platform could not look it up; give USER as a number",
		[]string{"image has non-numeric user"},
	},
	{opi.ImageHasNoCommand, []string{"no command specified"}},
	{"the image's USER is not among its users", []string{"no users found", "no groups found", "no matching entries in passwd file", "no matching entries in group file"}},
	{"the program is not for the platform's processors (exec format error)", []string{"exec format error"}},
	{"no space left on device", []string{"no space left on device"}},
	{"the platform took too long", []string{"deadline exceeded", "i/o timeout", "timed out"}},
}

// Both are runc's and crun's, with the app's own paths.
var (
	// command is os/exec's error.
	command = regexp.MustCompile(`exec: ".*`)
	// directory is the error of chdir.
	directory = regexp.MustCompile(`chdir to cwd \((".*?")\) set in config\.json failed: ([a-z ]+)`)
)

// StartFailure returns why an instance can't be started. The words of the runtime stay where
// they are about the app's command or its working directory.
func StartFailure(message string) string {
	if text := command.FindString(message); text != "" {
		return opi.PlainText(strings.TrimSuffix(text, ": unknown"), opi.MaxMessageBytes)
	}
	if match := directory.FindStringSubmatch(message); match != nil {
		return opi.PlainText("the working directory "+match[1]+" can't be entered: "+match[2], opi.MaxMessageBytes)
	}
	if text := causeOf(message, startCauses); text != "" {
		return text
	}
	return "the platform can't set it up at present"
}
