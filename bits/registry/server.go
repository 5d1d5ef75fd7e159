package registry

import (
	"log/slog"
	"net/http"
	"time"

	"code.cloudfoundry.org/lager/v3"
)

// Server makes the HTTP server for a listener, plain or with TLS. It has no bound on
// a whole request, see the package's promises.
func (r *Registry) Server() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           r.handler,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		// The server only logs connections that failed, mostly in the handshake.
		ErrorLog: slog.NewLogLogger(lager.NewHandler(r.logger.Session("http")), slog.LevelInfo),
	}
}
