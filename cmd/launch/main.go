package main

import "os"

func main() {
	// Before anything else, so that no signal is lost while the app is prepared.
	received := listen()
	app := launcher{
		home:   "/home/vcap",
		shells: []string{"/bin/bash", "/bin/sh"},
		stderr: os.Stderr,
		grace:  defaultGrace,
	}
	os.Exit(app.run(received, os.Args[1:], os.Environ()))
}
