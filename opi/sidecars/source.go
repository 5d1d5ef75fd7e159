package sidecars

import (
	"fmt"
	"strings"
	"unicode"
)

// maxPartBytes bounds each part of a source, so that a line has room for text next to it.
// Cloud Controller's names have at most 255 characters.
const maxPartBytes = 512

// AppSource returns the source of an app's log lines on Cloud Foundry, by the type of the
// process: APP/PROC/WEB. It is APP for a process without a type.
func AppSource(processType string) string {
	if processType == "" {
		return "APP"
	}
	return "APP/PROC/" + part(processType)
}

// SourceOf returns the source of the log lines of an app's sidecar:
// APP/PROC/WEB/SIDECAR/LOGGER.
func SourceOf(app, sidecar string) string { return app + "/SIDECAR/" + part(sidecar) }

// part returns a name in upper case, as Cloud Controller sends it, without control
// characters, which would end a line.
func part(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '_'
		}
		return unicode.ToUpper(r)
	}, strings.ToValidUTF8(name, "_"))
	if len(name) > maxPartBytes {
		name = strings.ToValidUTF8(name[:maxPartBytes], "")
	}
	return name
}

// Prefix begins a line of the sidecar, or the last piece of a line.
func Prefix(source string) string { return "[" + source + "] " }

// ContinuedPrefix begins a piece of a line that another piece follows.
func ContinuedPrefix(source string) string { return "[" + source + "]+ " }

// End returns the text about the process that ended first, which ended the instance.
func End(source string, status int) string {
	return fmt.Sprintf("%s: Exited with status %d", source, status)
}

// ParseEnd returns the source in a text of [End]. It reports whether the text is one, and about
// the given exit status.
func ParseEnd(text string, status int) (source string, ok bool) {
	source, ok = strings.CutSuffix(text, End("", status))
	if !ok || source == "" || strings.ContainsFunc(source, unicode.IsControl) {
		return "", false
	}
	return source, true
}
