package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const appPatience = 2 * time.Minute

// sampleApp is the app as Irene knows it and where it answers.
type sampleApp struct {
	guid, version string
	// greeting is what it answers.
	greeting string
}

func (a sampleApp) processGUID() string { return a.guid + "-" + a.version }

// desireApp asks Irene for the sample app, as Cloud Controller would, and stops
// versions of it that an earlier "up" asked for.
func (c *cloud) desireApp(ctx context.Context) (string, error) {
	c.image.registry = c.state.RegistryAddress
	c.app = sampleApp{guid: sampleGUID, version: sampleVersion(c.image)}
	request, err := desireRequest(c.image, c.app)
	if err != nil {
		return "", err
	}
	if err := writeIndented(c.at(desireName), request); err != nil {
		return "", err
	}
	status, answer, err := call(ctx, http.MethodPut, c.api("apps", c.app.processGUID()), request)
	if err != nil {
		return "", err
	}
	if status != http.StatusAccepted {
		return "", fmt.Errorf("irene answered %d: %s; %s", status, answer, logTail(c.log(ireneProgram), 10))
	}
	return "accepted as " + sampleAppName, c.stopOtherVersions(ctx)
}

// stopOtherVersions takes away what the sample app was before its program was
// built again: a new version takes an old one's place.
func (c *cloud) stopOtherVersions(ctx context.Context) error {
	status, answer, err := call(ctx, http.MethodGet, c.api("apps"), nil)
	if err != nil {
		return err
	}
	var list struct {
		Infos []struct {
			GUID    string `json:"guid"`
			Version string `json:"version"`
		} `json:"desired_lrp_scheduling_infos"`
	}
	if status != http.StatusOK {
		return fmt.Errorf("list apps: irene answered %d: %s", status, answer)
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return fmt.Errorf("list apps: %w", err)
	}
	for _, info := range list.Infos {
		if info.GUID != c.app.guid || info.Version == c.app.version {
			continue
		}
		status, answer, err := call(ctx, http.MethodPut, c.api("apps", info.GUID, info.Version, "stop"), nil)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("stop the earlier version %s: irene answered %d: %s", info.Version, status, answer)
		}
	}
	return nil
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

// awaitApp waits until instance 0 is RUNNING and answers through the router.
func (c *cloud) awaitApp(ctx context.Context) (string, error) {
	limit, cancel := context.WithTimeout(ctx, appPatience)
	defer cancel()
	last := "nothing is known of it"
	err := poll(limit, func() (bool, error) {
		running, seen, err := c.appRuns(limit)
		if err != nil || !running {
			last = seen
			return false, ignoreEnd(limit, err)
		}
		status, answer, err := callHost(limit, http.MethodGet, "http://"+c.state.Router+"/", sampleRoute, nil)
		if err != nil || status != http.StatusOK {
			last = fmt.Sprintf("it is RUNNING, but %s says: %d %s %v", c.appURL(), status, answer, err)
			return false, nil
		}
		c.app.greeting = answer
		return true, nil
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return "", fmt.Errorf("the app doesn't answer after %s: %s\nTo see why: curl %s; KUBECONFIG=%s %s -n %s describe pods", appPatience, last, c.status("routes"), c.cluster.Kubeconfig, c.at(programsName, "kubectl"), appsNamespace)
	}
	if err != nil {
		return "", err
	}
	return "it says: " + c.app.greeting, nil
}

// ignoreEnd leaves it to the poller to say that time is up.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// appRuns says whether instance 0 is RUNNING, and what was seen.
func (c *cloud) appRuns(ctx context.Context) (running bool, seen string, err error) {
	status, answer, err := call(ctx, http.MethodGet, c.api("apps", c.app.guid, c.app.version, "instances"), nil)
	if err != nil {
		return false, "", err
	}
	var list instances
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return false, "", fmt.Errorf("irene answered %d: %s", status, answer)
	}
	seen = list.Error
	for _, instance := range list.Instances {
		if instance.Index == 0 {
			return instance.State == "RUNNING", instance.String(), nil
		}
	}
	return false, seen, nil
}

// appURL is where the app answers, by its host name.
func (c *cloud) appURL() string {
	_, port, _ := net.SplitHostPort(c.state.Router) // an address that we made
	return "http://" + net.JoinHostPort(sampleRoute, port)
}
