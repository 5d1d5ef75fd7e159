package keys

// SourceTypeTask is the value of SourceType on everything that belongs to a task.
const SourceTypeTask = "TASK"

// TaskName is what the user called the task: a label as far as it fits, and an
// annotation that has it exactly.
const TaskName = "cloudfoundry.org/name"
