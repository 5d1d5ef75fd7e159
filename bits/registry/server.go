package registry

import (
	"log/slog"
	"net/http"
	"time"

	"code.cloudfoundry.org/lager/v3"
)

// maxHeaderBytes bounds the first line and the headers of a request. The longest that
// clients send hold a path, a password and the state of an upload, about 2 KiB.
const maxHeaderBytes = 16 << 10

// headerSlack is what Go's server reads beyond http.Server.MaxHeaderBytes.
const headerSlack = 4 << 10

// Server makes the HTTP server for a listener, plain or with TLS. It has no bound on
// a whole request, see the package's promises.
func (r *Registry) Server() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           r.handler,
		Protocols:         protocols,
		MaxHeaderBytes:    maxHeaderBytes - headerSlack,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		// The server only logs connections that failed, mostly in the handshake.
		ErrorLog: slog.NewLogLogger(lager.NewHandler(r.logger.Session("http")), slog.LevelInfo),
	}
}
