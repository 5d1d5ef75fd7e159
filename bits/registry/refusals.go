package registry

import (
	"encoding/json"
	"net/http"
)

// refuse answers with an error body as the OCI distribution specification has it.
// Clients show code and message.
func refuse(w http.ResponseWriter, status int, code, message string) {
	type fault struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string][]fault{"errors": {{code, message}}})
	if err != nil {
		panic(err)
	}
	// Clients tell by it that a registry answers.
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Del("Content-Length")
	w.WriteHeader(status)
	// A failed write means that the client is gone; the server closes up.
	_, _ = w.Write(append(body, '\n'))
}
