package steps

import (
	"fmt"
	"io"
	"sync"
)

// UserLog takes what a step says to the user who waits for a push. Its methods may
// be called from several goroutines; lines stay whole.
type UserLog struct {
	mutex sync.Mutex
	out   io.Writer
}

// NewUserLog makes a log that writes to out.
func NewUserLog(out io.Writer) *UserLog { return &UserLog{out: out} }

// Line writes one line; format and args make it. A line that can't be written is
// lost: nobody is there to read it.
func (l *UserLog) Line(format string, args ...any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	fmt.Fprintf(l.out, format+"\n", args...)
}

// Size writes a number of bytes for people: "12.3 MB". As everywhere in Cloud
// Foundry a MB is 1024 × 1024 bytes.
func Size(bytes int64) string {
	const unit = 1024
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, name := float64(bytes)/unit, "KB"
	for _, larger := range []string{"MB", "GB", "TB"} {
		if value < unit {
			break
		}
		value, name = value/unit, larger
	}
	return fmt.Sprintf("%.1f %s", value, name)
}
