package view

import (
	"errors"
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	"github.com/go-logr/logr"
)

// reflectorLog passes what client-go's reflectors have to say on to lager:
// errors, and plain messages without the verbose ones.
type reflectorLog struct {
	logger lager.Logger
	name   string
	data   lager.Data
}

// toldError is one that the log has been told of and that will come again.
type toldError struct{ error }

// Unwrap returns the error itself.
func (e toldError) Unwrap() error { return e.error }

var _ logr.LogSink = (*reflectorLog)(nil)

func (r *reflectorLog) Init(logr.RuntimeInfo) {}

func (r *reflectorLog) Enabled(level int) bool { return level <= 0 }

func (r *reflectorLog) Info(_ int, message string, pairs ...any) {
	r.logger.Info("reflector", r.with(pairs), lager.Data{"message": message})
}

func (r *reflectorLog) Error(err error, message string, pairs ...any) {
	if errors.As(err, new(toldError)) {
		return
	}
	r.logger.Error("reflector", err, r.with(pairs), lager.Data{"message": message})
}

func (r *reflectorLog) WithValues(pairs ...any) logr.LogSink {
	return &reflectorLog{logger: r.logger, name: r.name, data: r.with(pairs)}
}

func (r *reflectorLog) WithName(name string) logr.LogSink {
	if r.name != "" {
		name = r.name + "." + name
	}
	return &reflectorLog{logger: r.logger, name: name, data: r.data}
}

func (r *reflectorLog) with(pairs []any) lager.Data {
	data := lager.Data{}
	for key, value := range r.data {
		data[key] = value
	}
	if r.name != "" {
		data["logger"] = r.name
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		data[fmt.Sprint(pairs[i])] = fmt.Sprint(pairs[i+1])
	}
	return data
}
