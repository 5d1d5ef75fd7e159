package api

import "net/http"

// fault is a body in both forms of errors at once: Cloud Controller's client for apps looks
// at error.message, those for staging and tasks at message.
type fault struct {
	Error errorMessage `json:"error"`
	errorMessage
}

// WriteFault answers a request that reached no handler, and one that made its handler
// panic, on any route.
func WriteFault(w http.ResponseWriter, status int, message string) {
	respond(w, status, fault{Error: errorMessage{message}, errorMessage: errorMessage{message}})
}
