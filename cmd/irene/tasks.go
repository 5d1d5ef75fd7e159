package main

import (
	"time"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/tasks"
)

// Tasks is how tasks run, beside what Apps says of their app. A change counts for what is
// desired from then on.
type Tasks struct {
	// Deadline bounds a task from the moment that a node has taken it; 0 for none.
	Deadline Duration `json:"deadline"`
	// SchedulingPatience is how long a task may wait for room.
	SchedulingPatience Duration `json:"scheduling_patience"`
	// PullPatience is how long a node may fail to pull a task's image, or to start it.
	PullPatience Duration `json:"pull_patience"`
}

func defaultTasks() Tasks {
	return Tasks{
		SchedulingPatience: Duration{Duration: job.DefaultSchedulingPatience},
		PullPatience:       Duration{Duration: job.DefaultPullPatience},
	}
}

func (t Tasks) validate(wrong *faults) {
	wrong.wholeSeconds("tasks.deadline", t.Deadline, 0)
	wrong.wholeSeconds("tasks.scheduling_patience", t.SchedulingPatience, 1)
	wrong.duration("tasks.pull_patience", t.PullPatience, time.Second)
}

// tasksFeature runs tasks as Jobs.
func (c Configuration) tasksFeature() feature {
	return feature{
		permissions: []permission{
			{group: "batch", resource: "jobs", namespace: c.Kubernetes.Namespace, verbs: verbs("get list watch create patch delete")},
		},
		assemble: func(a *assembly) error {
			made := tasks.New(tasks.Options{
				Dependencies: a.jobDependencies(),
				Settings: tasks.Settings{
					Translation: renderSettings(c),
					Limits: job.Limits{
						Deadline:           c.Tasks.Deadline.Duration,
						SchedulingPatience: c.Tasks.SchedulingPatience.Duration,
						PullPatience:       c.Tasks.PullPatience.Duration,
						LostNodeGrace:      c.Kubernetes.LostNodeGrace.Duration,
					},
				},
				Images: a.lrps,
			})
			a.tasks, a.deciders[keys.SourceTypeTask] = made, made
			a.leading = append(a.leading, made.Sweep)
			if c.assembles() {
				awaited := tasks.NewAwaitedImages(tasks.AwaitedImagesOptions{Tasks: made, Images: a.assembled, Events: a.recorder})
				a.leading = append(a.leading, awaited.Run)
			}
			return nil
		},
	}
}

// jobDependencies returns what tasks and builds work with.
func (a *assembly) jobDependencies() job.Dependencies {
	return job.Dependencies{
		Client:       a.clients.Typed,
		Metadata:     a.clients.Metadata,
		OrphanMinAge: a.config.Apps.OrphanMinAge.Duration,
		Logger:       a.logger,
		Registerer:   a.registry,
	}
}
