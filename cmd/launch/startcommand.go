package main

import (
	"path/filepath"
	"strings"
)

// startCommand returns the app's start command and the shell words that run it,
// which are "" for the ordinary "bash -c". See the package comment for the
// order in which the sources are asked.
func (l launcher) startCommand(args []string, env environment) (command, prefix string, err error) {
	file := filepath.Join(l.home, "staging_info.yml")
	// Read in any case: the prefix in it also serves a command from elsewhere.
	info, infoErr := readStagingInfo(file)

	command = env.get("START_COMMAND")
	if blank(command) {
		if command, err = commandFromArgs(args, l.appDir()); err != nil {
			return "", "", err
		}
	}
	if !blank(command) {
		if infoErr != nil {
			l.warn(infoErr)
		}
		return command, info.Config.EntrypointPrefix, checkCommand(command)
	}
	if infoErr != nil {
		return "", "", failure{status: statusConfig, err: infoErr}
	}
	if blank(info.StartCommand) {
		return "", "", fail(statusConfig, "no start command: START_COMMAND is empty, none was given as an argument, "+
			"and %s has no start_command; push the app with a Procfile or a command", file)
	}
	return info.StartCommand, info.Config.EntrypointPrefix, checkCommand(info.StartCommand)
}

// commandFromArgs reads launch's command line, "" when it names no command.
func commandFromArgs(args []string, appDir string) (string, error) {
	if len(args) > 0 && (args[0] == "app" || filepath.Clean(args[0]) == appDir) {
		// Cloud Foundry's form: the folder, the command, and metadata of staging
		// that has no meaning for buildpack apps.
		if len(args) == 1 {
			return "", nil
		}
		return args[1], nil
	}
	switch len(args) {
	case 0:
		return "", nil
	case 1:
		return args[0], nil
	}
	return "", fail(statusUsage, "%d arguments: want one start command in a single argument, "+
		`as in: launch "bundle exec rackup", or: launch app "bundle exec rackup"`, len(args))
}

// checkCommand refuses what no process can be given as an argument.
func checkCommand(command string) error {
	if strings.ContainsRune(command, 0) {
		return fail(statusConfig, "the start command holds a NUL byte")
	}
	return nil
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }
