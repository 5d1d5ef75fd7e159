package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// The sample app.
const (
	sampleAppName  = "sample-app"
	sampleGUID     = "a51f1c2e-2b0a-4a3e-8d55-0f6a4f0c7b21"
	sampleRoute    = sampleAppName + "." + appDomain
	sampleCommand  = "./" + sampleProgram
	sampleSecret   = "DATABASE_PASSWORD"
	sampleMemoryMB = 128
	sampleDiskMB   = 256
)

const appPatience = 2 * time.Minute

// sampleApp is the app as Irene knows it and where it answers.
type sampleApp struct {
	guid, version string
	// greeting is what it answers.
	greeting string
}

// sampleVersion changes when the app's image does, as Cloud Controller's version
// does: what an LRP is made from never changes under one version.
func sampleVersion(image sampleImage) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("irene-dev:"+image.reference())).String()
}

// sampleUpdatedAt is the sample app's annotation. It stays, so that a sync finds nothing to change.
var sampleUpdatedAt = time.Unix(1584946309, 0)

// sampleProcess is what Irene is asked for.
func sampleProcess(image sampleImage, app sampleApp) cloudcontroller.Process {
	return cloudcontroller.Process{
		App: cloudcontroller.Owner{GUID: app.guid, Name: sampleAppName}, Space: space, Organization: organization,
		Type: webProcess, GUID: app.guid, Version: app.version,
		Hostnames: []string{sampleRoute}, Instances: 1, Command: sampleCommand, Stack: stackName,
		Droplet:  cloudcontroller.ProcessDroplet{GUID: image.dropletGUID, SHA1: image.dropletHash},
		MemoryMB: sampleMemoryMB, DiskMB: sampleDiskMB, HealthCheck: "http", HealthEndpoint: "/health",
		Environment: map[string]string{sampleSecret: "correct horse battery staple"}, UpdatedAt: sampleUpdatedAt,
	}
}

// desireApp asks Irene for the sample app, as Cloud Controller would, and stops
// versions of it that an earlier "up" asked for.
func (c *cloud) desireApp(ctx context.Context) (string, error) {
	c.image.registry = c.state.RegistryAddress
	c.app = sampleApp{guid: sampleGUID, version: sampleVersion(c.image)}
	process := sampleProcess(c.image, c.app)
	if err := writeIndented(c.at(desireName), process.Desire()); err != nil {
		return "", err
	}
	if err := c.addProcess(ctx, process.GUID, keptDroplet{}); err != nil {
		return "", err
	}
	door, err := c.frontDoor(opiDoor)
	if err != nil {
		return "", err
	}
	if err := door.Desire(ctx, process); err != nil {
		return "", c.seeLog(err)
	}
	// A new version takes an old one's place.
	_, err = c.stopVersions(ctx, func(guid, version string) bool { return guid == c.app.guid && version != c.app.version })
	return "accepted as " + sampleAppName + " by the OPI door", err
}

// awaitApp waits until instance 0 is RUNNING and answers through the router.
func (c *cloud) awaitApp(ctx context.Context) (string, error) {
	limit, cancel := context.WithTimeout(ctx, appPatience)
	defer cancel()
	last := "nothing is known of it"
	err := poll(limit, func() (bool, error) {
		state, seen, err := c.instanceState(limit, opiDoor, c.app.guid+"-"+c.app.version)
		if err != nil || state != stateRunning {
			last = seen
			return false, ignoreEnd(limit, err)
		}
		status, answer, err := callHost(limit, http.MethodGet, "http://"+c.state.Router+"/", sampleRoute, nil)
		if err != nil || status != http.StatusOK {
			last = fmt.Sprintf("it is RUNNING, but %s says: %d %s %v", c.url(sampleRoute), status, answer, err)
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
