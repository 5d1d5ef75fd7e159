package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
)

// desire asks Irene for a process; what is there already is no error.
func (c *cloud) desire(ctx context.Context, processGUID string, request []byte) error {
	status, answer, err := call(ctx, http.MethodPut, c.api("apps", processGUID), request)
	if err != nil {
		return err
	}
	if status != http.StatusAccepted {
		return fmt.Errorf("irene answered %d: %s; %s", status, answer, logTail(c.log(ireneProgram), 10))
	}
	return nil
}

// stopVersions stops those LRPs that are unwanted, and says how many.
func (c *cloud) stopVersions(ctx context.Context, unwanted func(guid, version string) bool) (stopped int, err error) {
	status, answer, err := call(ctx, http.MethodGet, c.api("apps"), nil)
	if err != nil {
		return 0, err
	}
	var list struct {
		Infos []struct {
			GUID    string `json:"guid"`
			Version string `json:"version"`
		} `json:"desired_lrp_scheduling_infos"`
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("list apps: irene answered %d: %s", status, answer)
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return 0, fmt.Errorf("list apps: %w", err)
	}
	for _, info := range list.Infos {
		if !unwanted(info.GUID, info.Version) {
			continue
		}
		status, answer, err := call(ctx, http.MethodPut, c.api("apps", info.GUID, info.Version, "stop"), nil)
		if err != nil {
			return stopped, err
		}
		if status != http.StatusOK {
			return stopped, fmt.Errorf("stop version %s: irene answered %d: %s", info.Version, status, answer)
		}
		stopped++
	}
	return stopped, nil
}

// instances is the answer to GET …/instances, as far as it is read.
type instances struct {
	Error     string     `json:"error"`
	Instances []instance `json:"instances"`
}

type instance struct {
	Index          int    `json:"index"`
	State          string `json:"state"`
	PlacementError string `json:"placement_error"`
}

func (i instance) String() string {
	text := fmt.Sprintf("instance %d is %s", i.Index, i.State)
	if i.PlacementError != "" {
		text += ": " + i.PlacementError
	}
	return text
}

// ignoreEnd leaves it to the poller to say that time is up.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// States of an instance, of those that there are.
const (
	stateRunning = "RUNNING"
	stateCrashed = "CRASHED"
)

// instanceState is the state of an LRP's instance 0, "" when there is none, and what was
// seen in words.
func (c *cloud) instanceState(ctx context.Context, guid, version string) (state, seen string, err error) {
	status, answer, err := call(ctx, http.MethodGet, c.api("apps", guid, version, "instances"), nil)
	if err != nil {
		return "", "", err
	}
	var list instances
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return "", "", fmt.Errorf("irene answered %d: %s", status, answer)
	}
	for _, instance := range list.Instances {
		if instance.Index == 0 {
			return instance.State, instance.String(), nil
		}
	}
	return "", list.Error, nil
}

// url is where a route answers.
func (c *cloud) url(route string) string {
	_, port, _ := net.SplitHostPort(c.state.Router) // an address that we made
	return "http://" + net.JoinHostPort(route, port)
}
