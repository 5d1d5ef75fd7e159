package keys

// SourceTypeTask is the value of SourceType on everything that belongs to a task.
const SourceTypeTask = "TASK"

// TaskName is what the user called the task: a label as far as it fits, and an
// annotation that has it exactly.
const TaskName = "cloudfoundry.org/name"

// TaskImage is an annotation of the Job of a task with a domain: the reference of the docker
// image that it runs in. The annotation Stack is there instead for a droplet.
const TaskImage = "irene.cloudfoundry.org/task-image"
