// Package imagewait counts the attempts at an image that work was accepted without: an LRP
// (package control) or a task (package tasks). Its State is kept on the object, so that a new
// leader goes on where the last one was.
//
// # Usage
//
//	state, pause := state.Failed(err, time.Now(), imagewait.Pauses{Unavailable: time.Minute, Refused: time.Hour})
//
// It is pure: the same state, error and time give the same result.
package imagewait
