// Package tasks runs tasks: a command in an app's droplet or image, once.
//
// # Usage
//
//	made := tasks.New(tasks.Options{Dependencies: dependencies, Settings: settings, Images: images})
//	err := made.Desire(ctx, task)
//	outcome, wait, err := made.Decide(ctx, jobOfTask, pods)
//
// # What it promises
//
//   - One commit point: a task is on record when its Job exists, and Desire returns
//     without error only then. Before the Job, the app's image is made sure of, and one
//     Secret is written; it does nothing by itself, and an interrupted Desire leaves it at
//     the most, which Sweep deletes.
//   - The Job's name is made of the task's guid alone: the same task on two replicas, or
//     requested twice, is one Job. While the Job is there, running, ended, answered or
//     being deleted, the same task again changes nothing. For a request with an identity
//     ([opi.Task.Request]) it is an error, unless it is the first one that is sent again.
//   - User code runs at most once: one pod is made and never replaced, none of its
//     containers is restarted (package job). docs/tasks.md explains what that means for users.
//   - List and ListPresent are complete or an error: they read from the API server, whose
//     answer has every Job that any replica has made. A task is listed until Cloud Controller
//     has answered its outcome.
//   - A task that is canceled is stopped by one write, with the reason; Decide comes to the
//     same outcome however often it is interrupted.
//
// # Objects
//
//	Job <name>      annotations of keys (names, outcome), finalizer of reports
//	Secret <name>   callback, secret variables of the environment, pull credentials
//
// Sweep deletes the Secret once the outcome was answered. The Job does not own it.
//
// # Who does what
//
// Settings.Render is pure. Desire, Get, Present, Door, List, ListPresent and Cancel may be called
// on every replica, at the same time. Decide and Sweep are for one replica, the leader; two that overlap do
// no harm. Tasks owns no goroutine; Sweep runs on its caller's until its context ends.
package tasks
