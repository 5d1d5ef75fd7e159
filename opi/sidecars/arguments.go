package sidecars

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Members are the processes of an instance that has sidecars.
type Members struct {
	// App is the source of the app itself.
	App string
	// Sidecars run next to it.
	Sidecars []Sidecar
}

// Sidecar is a process that runs next to the app in its container.
type Sidecar struct {
	// Source names the sidecar in log lines and at its end.
	Source string `json:"source"`
	// Command is the start command, for a shell.
	Command string `json:"command"`
	// Environment holds the variables in which the sidecar differs from the app: by name, the
	// variable of the container that has the value.
	Environment map[string]string `json:"environment,omitempty"`
}

const (
	sourceFlag  = "--source="
	sidecarFlag = "--sidecar="
)

// variablePrefix begins the names of the variables that hold what sidecars alone get.
const variablePrefix = "IRENE_SIDECAR_"

// Variable returns the name of the container's variable that holds a variable of the nth
// sidecar, counted from 1.
func Variable(n int, name string) string { return fmt.Sprintf("%s%d_%s", variablePrefix, n, name) }

// IsVariable reports whether a variable's name is reserved for the values that sidecars alone
// get.
func IsVariable(name string) bool { return strings.HasPrefix(name, variablePrefix) }

// Arguments returns the command line of launch for the members.
func (m Members) Arguments() ([]string, error) {
	arguments := []string{sourceFlag + m.App}
	for _, sidecar := range m.Sidecars {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false) // people read commands with && in pod specs
		if err := encoder.Encode(sidecar); err != nil {
			return nil, fmt.Errorf("encode the sidecar %s: %w", sidecar.Source, err)
		}
		arguments = append(arguments, sidecarFlag+strings.TrimSuffix(text.String(), "\n"))
	}
	return arguments, nil
}

// Parse returns the members that a command line of launch describes, and the rest of it. There
// are no sidecars in a command line that does not begin like one of [Members.Arguments].
func Parse(arguments []string) (Members, []string, error) {
	if !Described(arguments) {
		return Members{}, arguments, nil
	}
	members := Members{App: strings.TrimPrefix(arguments[0], sourceFlag)}
	for n, argument := range arguments[1:] {
		text, ok := strings.CutPrefix(argument, sidecarFlag)
		if !ok {
			return members, arguments[n+1:], nil
		}
		var sidecar Sidecar
		if err := json.Unmarshal([]byte(text), &sidecar); err != nil {
			return Members{}, nil, fmt.Errorf("read %s… of the command line: %w", sidecarFlag, err)
		}
		if strings.TrimSpace(sidecar.Command) == "" {
			return Members{}, nil, errors.New("the command line has a sidecar without a command")
		}
		members.Sidecars = append(members.Sidecars, sidecar)
	}
	return members, nil, nil
}

// Described reports whether a command line of launch describes an instance with sidecars.
func Described(arguments []string) bool {
	return len(arguments) > 1 && strings.HasPrefix(arguments[0], sourceFlag) && strings.HasPrefix(arguments[1], sidecarFlag)
}
