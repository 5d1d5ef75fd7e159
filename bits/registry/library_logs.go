package registry

import (
	"fmt"
	"io"

	"code.cloudfoundry.org/lager/v3"
	"github.com/sirupsen/logrus"

	"github.com/irene-cf/irene/opi"
)

// AdoptLibraryLogs sends what the distribution library logs to logger, at debug
// level: each request that fails, for reasons good or bad, is an error to it. What is
// worth knowing is logged by this package. The library logs through one place for the
// whole process, logrus's standard logger, so this is for main alone, before New.
// Without it, lines appear on standard error.
func AdoptLibraryLogs(logger lager.Logger) {
	standard := logrus.StandardLogger()
	standard.SetOutput(io.Discard)
	standard.SetFormatter(noText{})
	standard.SetLevel(logrus.WarnLevel)
	standard.ReplaceHooks(logrus.LevelHooks{})
	standard.AddHook(lagerHook{logger.Session("registry-library")})
}

type lagerHook struct{ logger lager.Logger }

// Levels implements logrus.Hook.
func (lagerHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook. Of the fields, those stay that name what it is
// about; others hold whole requests.
func (h lagerHook) Fire(entry *logrus.Entry) error {
	data := lager.Data{"level": entry.Level.String(), "message": opi.Shorten(entry.Message, maxLogged)}
	for _, field := range []string{"vars.name", "vars.reference", "vars.digest", "err.code", "err.message", "err.detail", logrus.ErrorKey} {
		if value, ok := entry.Data[field]; ok {
			data[field] = opi.Shorten(fmt.Sprint(value), maxLogged)
		}
	}
	h.logger.Debug("message", data)
	return nil
}

// noText spares formatting what is discarded.
type noText struct{}

// Format implements logrus.Formatter.
func (noText) Format(*logrus.Entry) ([]byte, error) { return nil, nil }
