package stager

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// ImageConfig is the part of a docker image's configuration that a build reports.
type ImageConfig struct {
	Command, Entrypoint    []string
	User, WorkingDirectory string
	// Ports are as the image has them: "8080/tcp", "53/udp", "8080".
	Ports []string
}

// ImageFailure returns the failure of a build whose image can't be used, worded for the
// image's owner.
func ImageFailure(err error) *Failure {
	return Failed("image", opi.StagingError, "The image can't be used: %s", imageFault(err))
}

// imageFault returns what is wrong with an image, for its owner.
func imageFault(err error) string {
	if fields := opi.FieldErrors(err); len(fields) > 0 {
		return fields[0].Reason
	}
	if message := opi.Message(err); message != "" {
		return message
	}
	return strings.Replace(err.Error(), opi.ErrRefused.Error()+": ", "", 1)
}

// imagePort is a port in the form that Cloud Controller reads.
type imagePort struct {
	Port     uint16
	Protocol string
}

// executionMetadata is how an image wants to run; Cloud Controller takes the ports.
type executionMetadata struct {
	Command          []string    `json:"cmd"`
	Entrypoint       []string    `json:"entrypoint,omitempty"`
	WorkingDirectory string      `json:"workdir,omitempty"`
	User             string      `json:"user,omitempty"`
	Ports            []imagePort `json:"ports"`
}

// ImageOutcome returns the outcome of a build for an image (contract 2.3). The web process
// has no command of its own, which makes the image's count, whatever shell it has or has
// not.
//
// An image without any command needs the app's start command, which no request for a
// build carries. Cloud Controller knows it: where it starts the app at once, it fails a
// build without process types unless the app has a start command. Where it only stages,
// the command may be set later, and Cloud Controllers before 2021 would fail builds of
// apps that have one; the app's start tells then.
func ImageOutcome(guid, reference string, config ImageConfig, startsApp bool) (*opi.Outcome, error) {
	processTypes := map[string]string{"web": ""}
	if startsApp && len(config.Entrypoint)+len(config.Command) == 0 {
		processTypes = map[string]string{}
	}
	ports, err := parsePorts(config.Ports)
	if err != nil {
		return Failed("image", opi.StagingError, "The image can't be used: %s", err).Outcome(guid), nil
	}
	execution, err := json.Marshal(executionMetadata{
		Command: append([]string{}, config.Command...), Entrypoint: config.Entrypoint,
		WorkingDirectory: config.WorkingDirectory, User: config.User, Ports: ports,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the image's way to run: %w", err)
	}
	result, err := json.Marshal(map[string]any{
		"lifecycle_type":     "docker",
		"lifecycle_metadata": map[string]string{"docker_image": reference},
		"process_types":      processTypes,
		"execution_metadata": string(execution),
	})
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return success(guid, result, Failed("image", opi.StagingError, "The image can't be used: its command, entrypoint and ports have %d KiB, and the limit is about %d KiB",
		len(execution)>>10, opi.MaxResultBytes>>10))
}

// parsePorts reads "8080/tcp" and "8080", and sorts by number and protocol.
func parsePorts(texts []string) ([]imagePort, error) {
	ports := []imagePort{}
	for _, text := range texts {
		number, protocol, found := strings.Cut(text, "/")
		if !found {
			protocol = "tcp"
		}
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 || protocol == "" {
			return nil, fmt.Errorf("it exposes %q, which is no port", text)
		}
		ports = append(ports, imagePort{Port: uint16(port), Protocol: strings.ToLower(protocol)})
	}
	slices.SortFunc(ports, func(a, b imagePort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return slices.Compact(ports), nil
}
