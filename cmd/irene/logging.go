package main

import (
	"io"

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
	klog.SetLogger(logr.FromSlogHandler(lager.NewHandler(logger.Session("kubernetes-client"))))
}
