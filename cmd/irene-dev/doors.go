package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/bbsclient"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/recipe"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/runner"
)

// door is a front door of Irene as Cloud Controller uses it.
type door interface {
	Desire(ctx context.Context, p cloudcontroller.Process) error
	Stop(ctx context.Context, processGUID string) error
	Instances(ctx context.Context, processGUID string) ([]cloudcontroller.Instance, error)
	List(ctx context.Context) (map[string]string, error)
	Stage(ctx context.Context, guid string, request []byte) error
	StopStaging(ctx context.Context, guid string) error
	Sync(ctx context.Context, started []cloudcontroller.Process) (runner.Round, error)
}

// Names of the doors.
const (
	bbsDoor = "bbs"
	opiDoor = "opi"
)

// doorNames are all, the one that is used by default first.
var doorNames = []string{bbsDoor, opiDoor}

// frontDoor returns a front door by its name. Irene must have its addresses and certificates.
func (c *cloud) frontDoor(name string) (door, error) {
	if name == opiDoor {
		return runner.NewOPI(cloudcontroller.Client{URL: "http://" + c.state.API, HTTP: httpClient}, c.cloudControllerURL()), nil
	}
	if c.bbs == nil {
		var err error
		if c.bbs, err = bbsclient.New(bbsclient.Options{URL: c.bbsURL(), TLS: &bbsclient.TLS{
			CertificateFile: c.certificate(cloudControllerCertificate), KeyFile: c.key(cloudControllerCertificate), AuthorityFile: c.authority(),
		}}); err != nil {
			return nil, err
		}
	}
	return runner.NewBBS(c.bbs, recipe.Builder{CloudController: c.cloudControllerURL(), Uploader: c.cloudControllerURL()}), nil
}

// bbsURL is what diego.bbs.url would be.
func (c *cloud) bbsURL() string { return "https://" + c.state.BBS }

// cloudControllerURL is where Irene and builds reach the stand-in for Cloud Controller.
func (c *cloud) cloudControllerURL() string { return "https://" + c.state.CloudControllerAddress }

// seeLog adds to an error of a request to Irene where more about it can be read.
func (c *cloud) seeLog(err error) error {
	return fmt.Errorf("%w (Irene's log is %s)", err, c.log(ireneProgram))
}

// stopVersions stops those LRPs of either door that are unwanted, and returns how many.
func (c *cloud) stopVersions(ctx context.Context, unwanted func(guid, version string) bool) (stopped int, err error) {
	for _, name := range doorNames {
		door, err := c.frontDoor(name)
		if err != nil {
			return stopped, err
		}
		listed, err := door.List(ctx)
		if err != nil {
			return stopped, fmt.Errorf("list the apps of the %s door: %w", strings.ToUpper(name), err)
		}
		for processGUID := range listed {
			guid, version := cloudcontroller.SplitProcessGUID(processGUID)
			if !unwanted(guid, version) {
				continue
			}
			if err := door.Stop(ctx, processGUID); err != nil {
				return stopped, err
			}
			stopped++
		}
	}
	return stopped, nil
}

// States of an instance, of those that there are.
const (
	stateRunning = "RUNNING"
	stateCrashed = "CRASHED"
)

// instanceState returns the state of an LRP's instance 0, "" when there is none, and what was
// seen in words.
func (c *cloud) instanceState(ctx context.Context, doorName, processGUID string) (state, seen string, err error) {
	door, err := c.frontDoor(doorName)
	if err != nil {
		return "", "", err
	}
	instances, err := door.Instances(ctx, processGUID)
	if err != nil {
		return "", err.Error(), nil // it may be there with the next question
	}
	for _, instance := range instances {
		if instance.Index == 0 {
			return instance.State, describeInstance(instance), nil
		}
	}
	return "", "it has no instance", nil
}

func describeInstance(i cloudcontroller.Instance) string {
	text := fmt.Sprintf("instance %d is %s", i.Index, i.State)
	if i.PlacementError != "" {
		text += ": " + i.PlacementError
	}
	return text
}

// url is where a route answers.
func (c *cloud) url(route string) string {
	_, port, _ := net.SplitHostPort(c.state.Router) // an address that we made
	return "http://" + net.JoinHostPort(route, port)
}

// ignoreEnd leaves it to the poller to report that time is up.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
