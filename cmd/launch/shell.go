package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// findShell returns the first of the shells that the image has.
func findShell(shells []string) (string, error) {
	for _, shell := range shells {
		info, err := os.Stat(shell)
		if err == nil && info.Mode().IsRegular() && unix.Access(shell, unix.X_OK) == nil {
			return shell, nil
		}
	}
	return "", fail(statusNoShell, "the image has no shell that can run the app: looked for %s", strings.Join(shells, " and "))
}

// profileScripts returns the files to source before the app starts, in order,
// for a droplet rooted at home. A folder that can't be read is a problem to
// report, and so is a script with Windows line ends, of which the shell makes values
// that end with a carriage return; a folder that isn't there is not.
func profileScripts(home string) ([]string, []error) {
	var scripts []string
	var problems []error
	app := filepath.Join(home, "app")
	for _, dir := range []string{filepath.Join(home, "profile.d"), filepath.Join(app, ".profile.d")} {
		// ReadDir sorts by name.
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, fmt.Errorf("profile scripts are not sourced: %w", err))
			continue
		}
		for _, entry := range entries {
			file := filepath.Join(dir, entry.Name())
			if !strings.HasPrefix(entry.Name(), ".") && isFile(file) {
				scripts = append(scripts, file)
			}
		}
	}
	if profile := filepath.Join(app, ".profile"); isFile(profile) {
		scripts = append(scripts, profile)
	}
	for _, script := range scripts {
		if hasWindowsLineEnds(script) {
			problems = append(problems, fmt.Errorf("the lines of %s end with CRLF, as on Windows, which the shell takes for a part of names and values; save it with Unix line ends (LF)", script))
		}
	}
	return scripts, problems
}

// maxLineEndSearch bounds how much of a script is searched for its first line's end.
const maxLineEndSearch = 4 << 10

// hasWindowsLineEnds reports whether a file's first line ends with CRLF. A file that
// can't be read is the shell's to report.
func hasWindowsLineEnds(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	line, err := bufio.NewReader(io.LimitReader(file, maxLineEndSearch)).ReadString('\n')
	return err == nil && strings.HasSuffix(line, "\r\n")
}

// isFile tells whether a path is a regular file, or a link to one.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// shellScript returns the text that a shell runs to source the scripts and then
// become the start command. Everything in it is a literal, so nothing that a
// profile script does to variables, positional parameters or shell options can
// change what comes after it. The start command gets a shell of its own, as on
// Cloud Foundry, so it sees what the scripts exported and nothing else of theirs.
func shellScript(shell string, scripts []string, prefix, command string) string {
	var text strings.Builder
	for _, script := range scripts {
		text.WriteString(". " + quote(script) + "\n")
	}
	// Trimmed, since a line break after it would cut the command off.
	prefix = strings.TrimSpace(prefix)
	if prefix == "" {
		prefix = quote(shell) + " -c"
	}
	text.WriteString("exec " + prefix + " " + quote(command))
	return text.String()
}

// quote writes a string as one literal word of the shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
