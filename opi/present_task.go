package opi

import "time"

// PresentTask is a task with no outcome that its caller has answered, without what it runs.
type PresentTask struct {
	GUID string
	// Door is the front door by which the task was desired, Domain its domain.
	Door   Door
	Domain string

	Annotation string
	MetricTags map[string]MetricTag
	// Limits hold FileDescriptors, PIDs and LogBytesPerSecond alone.
	Limits  Limits
	AppGUID string
	// Stack is the name of the stack on which a droplet runs, Image the reference of a docker
	// app's image; at most one of them is set.
	Stack, Image string
	// Created is when the task was put on record.
	Created time.Time
	// Cell is the name of the cell that took the task; empty until there is one.
	Cell string
}
