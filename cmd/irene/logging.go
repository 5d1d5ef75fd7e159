package main

import (
	"context"
	"io"
	"log/slog"

	"code.cloudfoundry.org/lager/v3"
	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// newLogger writes JSON lines with RFC 3339 times to out, from the configured
// level on. The level must be valid.
func newLogger(out io.Writer, config Log) (lager.Logger, error) {
	level, err := lager.LogLevelFromString(config.Level)
	if err != nil {
		return nil, err
	}
	logger := lager.NewLogger("irene")
	logger.RegisterSink(lager.NewPrettySink(out, level))
	return logger, nil
}

// adoptClientGoLogs sends what Kubernetes' client libraries log to logger. They
// log through one place for the whole process, so this is for main alone.
func adoptClientGoLogs(logger lager.Logger) {
	klog.SetLogger(clientGoLogger(logger.Session("kubernetes-client")))
}

// clientGoLogger is logger in the form that Kubernetes' client libraries take. Their
// verbose messages are left out at any level: they hold whole requests and answers.
func clientGoLogger(logger lager.Logger) logr.Logger {
	return logr.FromSlogHandler(notVerbose{lager.NewHandler(logger)})
}

// notVerbose drops what is below slog.LevelInfo, which lager's own handler takes.
type notVerbose struct{ next slog.Handler }

// Enabled implements slog.Handler, as do the following.
func (h notVerbose) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle passes on what Enabled lets through.
func (h notVerbose) Handle(ctx context.Context, record slog.Record) error {
	return h.next.Handle(ctx, record)
}

// WithAttrs keeps the filter.
func (h notVerbose) WithAttrs(attrs []slog.Attr) slog.Handler {
	return notVerbose{h.next.WithAttrs(attrs)}
}

// WithGroup keeps the filter.
func (h notVerbose) WithGroup(name string) slog.Handler { return notVerbose{h.next.WithGroup(name)} }
