package keys

// Containers in pods. The names are the predecessor's, which people type after
// "kubectl logs -c".
const (
	// AppContainer runs the app in every instance's pod.
	AppContainer = "opi"
	// TaskContainer runs the task in a task's pod.
	TaskContainer = "opi-task"
)
