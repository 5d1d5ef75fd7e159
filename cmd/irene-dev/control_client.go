package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

// patientClient is for what takes as long as it takes; a context bounds it.
var patientClient = &http.Client{Transport: httpClient.Transport}

// uploadPackage gives the stand-in of Cloud Controller an app's source code.
func (c *cloud) uploadPackage(ctx context.Context, guid string, content io.Reader, size int64) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, c.control("packages/"+guid), content)
	if err != nil {
		return err
	}
	request.ContentLength = size
	_, err = askControl(request)
	return err
}

// newBuild makes a build, in STAGING, for which the door must still be asked.
func (c *cloud) newBuild(ctx context.Context, door string, build standin.Build) (startedBuild, error) {
	body, err := json.Marshal(wantedBuild{Build: build, Door: door})
	if err != nil {
		return startedBuild{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.control("builds"), bytes.NewReader(body))
	if err != nil {
		return startedBuild{}, err
	}
	var started startedBuild
	answer, err := askControl(request)
	if err == nil {
		err = json.Unmarshal(answer, &started)
	}
	return started, err
}

// waitForBuild returns a build once Cloud Controller's stand-in has its outcome.
func (c *cloud) waitForBuild(ctx context.Context, guid string) (standin.Build, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.control("builds/"+guid), nil)
	if err != nil {
		return standin.Build{}, err
	}
	var build standin.Build
	answer, err := askControl(request)
	if err == nil {
		err = json.Unmarshal(answer, &build)
	}
	return build, err
}

// addProcess registers a process and its droplet with the stand-in, before Irene is asked for it.
func (c *cloud) addProcess(ctx context.Context, guid string, droplet keptDroplet) error {
	body, err := json.Marshal(droplet)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, c.control("processes/"+guid), bytes.NewReader(body))
	if err != nil {
		return err
	}
	_, err = askControl(request)
	return err
}

// askControl returns the answer to a request that must succeed.
func askControl(request *http.Request) ([]byte, error) {
	response, err := patientClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the stand-in for Cloud Controller: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask the stand-in for Cloud Controller: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the stand-in for Cloud Controller answers %d: %s", response.StatusCode, strings.TrimSpace(string(answer)))
	}
	return answer, nil
}
