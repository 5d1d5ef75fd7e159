package main

import (
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/k8s"
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
		SchedulingPatience: Duration{Duration: tasks.DefaultSchedulingPatience},
		PullPatience:       Duration{Duration: tasks.DefaultPullPatience},
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
			made := newTasks(c, a.clients, a.lrps, a.logger, a.registry)
			a.tasks, a.deciders[keys.SourceTypeTask] = made, made
			a.leading = append(a.leading, made.Sweep)
			return nil
		},
	}
}

// newTasks runs tasks by the rules and in the images of their apps.
func newTasks(config Configuration, clients k8s.Clients, lrps *k8s.LRPs, logger lager.Logger, metrics prometheus.Registerer) *tasks.Tasks {
	return tasks.New(tasks.Options{
		Settings: tasks.Settings{
			Translation:        renderSettings(config),
			Deadline:           config.Tasks.Deadline.Duration,
			SchedulingPatience: config.Tasks.SchedulingPatience.Duration,
			PullPatience:       config.Tasks.PullPatience.Duration,
			LostNodeGrace:      config.Kubernetes.LostNodeGrace.Duration,
		},
		OrphanMinAge: config.Apps.OrphanMinAge.Duration,
		Client:       clients.Typed,
		Metadata:     clients.Metadata,
		Images:       lrps,
		Logger:       logger,
		Registerer:   metrics,
	})
}
