package main

import "os"

func main() {
	if arguments, isCheck := checkArguments(os.Args[1:]); isCheck {
		os.Exit(check(arguments, os.Environ(), os.Stderr))
	}
	// Before anything else, so that no signal is lost while the app is prepared.
	received := listen()
	app := launcher{
		home:    "/home/vcap",
		shells:  []string{"/bin/bash", "/bin/sh"},
		stderr:  os.Stderr,
		grace:   defaultGrace,
		endFile: "/dev/termination-log",
	}
	os.Exit(app.run(received, os.Args[1:], os.Environ()))
}
